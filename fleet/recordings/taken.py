"""SErrors and external aborts that a kernel took: the line that tells of one, the dump behind it, and its end.

An abort from a task ends in a signal, one from the kernel itself in an oops, which kills what ran or panics.
Kernels up to 4.17 tell of the abort in a line of its own before either; it names the address too (FAR).

Sources: Linux arch/arm64/kernel/traps.c arm64_serror_panic(), die(), arm64_show_signal(); arch/arm64/mm/fault.c
do_sea(), do_mem_abort().
"""

import re
from typing import Final

from fleet.recordings.forms import Form
from fleet.recordings.kernel_lines import Tells
from fleet.recordings.model import ErrorKind, Outcome, OutcomeKind, RecordedError, RecordedHost, TextLine
from nodes.linux.traps import SERROR_PANIC, is_sea
from nodes.spec.aarch64 import ABORT_CLASSES, LOWER_ABORT_CLASSES
from nodes.spec.syndrome import exception_class

_SAME_LINES_MAX: Final = (
    8  # from an abort's own line to that of its signal or oops; a later one is another abort's
)
_EL_SHIFT: Final = 2  # of PSTATE.M
_HOST_EL: Final = 2
_OOPS_PANIC: Final = re.compile(r"(?:.{1,80}: )?Fatal exception(?P<always> in interrupt)?")
_ON_ITS_WAY: Final = "panic (Linux prints this line only on its way to one)"
_SIGNALLED: Final = "a signal to the task (its exception class says that one ran)"
_OOPSED: Final = "oops (its exception class says that the kernel itself ran)"


class TakenErrors:
    """The SErrors and aborts of one host."""

    def __init__(self, host: RecordedHost) -> None:
        self._host = host
        self._last: RecordedError | None = None
        self._announced = False  # the last one is an abort whose signal or oops is still to be told

    def take(self, tells: Tells, parts: dict[str, str], line: TextLine, time_ns: int | None) -> bool:
        """Take a line that tells of one; False for an exception that is no hardware error."""
        esr = int(parts["esr"], 16)
        if tells is Tells.SERROR:
            outcome = Outcome(OutcomeKind.PANIC, 0, SERROR_PANIC, _ON_ITS_WAY, line.number)
            self._begin(ErrorKind.SERROR, line, time_ns, outcome)
        elif exception_class(esr) not in ABORT_CLASSES or not is_sea(esr):
            self._last, self._announced = None, False
            return False
        elif self._goes_on(esr, tells, line.number):
            self._announced = False
            return True
        else:
            self._begin_abort(esr, tells, line, time_ns)
        error = self._host.errors[-1]
        error.esr = esr
        error.pe = int(parts.get("cpu", "0"))
        error.far = int(parts.get("far", "0"), 16)
        return True

    def _begin(self, kind: ErrorKind, line: TextLine, time_ns: int | None, outcome: Outcome) -> None:
        error = RecordedError(kind, self._host, line.number, line.number, time_ns=time_ns)
        error.lines.append(line)
        error.outcomes.append(outcome)
        self._host.errors.append(error)
        self._last, self._announced = error, False

    def _begin_abort(self, esr: int, tells: Tells, line: TextLine, time_ns: int | None) -> None:
        of_task = exception_class(esr) in LOWER_ABORT_CLASSES
        kind, says = (OutcomeKind.SIGNAL, _SIGNALLED) if of_task else (OutcomeKind.OOPS, _OOPSED)
        self._begin(ErrorKind.SEA, line, time_ns, Outcome(kind, 0, "", says, line.number))
        error = self._host.errors[-1]
        error.el = 0 if of_task else _HOST_EL
        if tells is Tells.ABORT:
            self._announced = True
            error.forms.add(Form.ABORT)

    def _goes_on(self, esr: int, tells: Tells, number: int) -> bool:
        """Whether a line tells the end of the abort before it, and not of another one."""
        last = self._last
        if last is None or not self._announced or tells is Tells.ABORT or last is not self._host.errors[-1]:
            return False
        return last.esr == esr and number - last.last <= _SAME_LINES_MAX

    def panics(self, outcome: Outcome) -> bool:
        """Whether a panic is that of the last abort's oops; then it is its outcome."""
        last, found = self._last, _OOPS_PANIC.fullmatch(outcome.result)
        if last is None or found is None or last.outcomes[0].kind is not OutcomeKind.OOPS:
            return False
        last.outcomes[:] = [outcome]
        if not found["always"]:
            self._host.panic_on_oops = True
            last.notes.append("the recorded kernel panics on an oops, so the model's does (panic_on_oops)")
        return True

    def dumped(self, parts: dict[str, str], number: int) -> None:
        """A line of the dump behind the last one."""
        last = self._last
        if last is None:
            return
        last.last = number
        if "pstate" in parts and last.kind is ErrorKind.SERROR:
            last.el = int(parts["pstate"], 16) >> _EL_SHIFT & 3
        if "cpu" in parts and last.kind is ErrorKind.SEA:
            last.pe = int(parts["cpu"])

"""What a recording says against what the model did, error by error.

Three things are compared: the lines of the record character for character, its severity, and what the kernel did.
Where a recording ends with the record, or the line that would say so is not printed by any kernel, nothing is
recorded to compare with. A line in an older form, or whose blanks were lost when the log was copied, is no
difference in behaviour; it is told all the same.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Final, NamedTuple

from fleet.recordings.arm_lines import INFORMATION_TEXTS
from fleet.recordings.forms import Form, canonical
from fleet.recordings.model import ErrorKind, Outcome, OutcomeKind, RecordedError, TextLine
from fleet.recordings.outcomes import NOT_READ, Modelled
from nodes.linux.dmesg import dmesg, severity_name
from nodes.policy import Kernel
from nodes.spec.layout import Malformed

_MATCHED_MAX: Final = 600  # lines of a record that are matched by content; longer ones are compared one by one
CUT: Final = "cut off in the recording"
_ALIKE: Final = "character for character"
BLANKS: Final = "blanks were lost in the recording"
_DIMM: Final = "DIMM location: "
_TAKEN: Final = {ErrorKind.SERROR: "SError", ErrorKind.SEA: "abort"}
_IN_INTERRUPT: Final = "Fatal exception in interrupt"
_LIMITED: Final = "the model's kernel does not print it again so soon (identical within 10 s, or two in 5 s)"


class Verdict(StrEnum):
    """How one thing compares."""

    SAME = "same"
    DIFFERS = "differs"
    NOT_RECORDED = "not recorded"


class LineDifference(NamedTuple):
    """A line that is not the same on both sides."""

    number: int  # in the recording; 0: it is not there
    recorded: str | None
    modelled: str | None
    why: str
    counts: bool  # a difference, and not only another form


class Aspect(NamedTuple):
    """One thing that was compared."""

    verdict: Verdict
    says: str
    lines: tuple[LineDifference, ...] = ()


class Comparison(NamedTuple):
    """How one error compares."""

    printed: Aspect
    severity: Aspect
    outcome: Aspect

    @property
    def verdict(self) -> Verdict:
        """The whole: one difference is enough to differ, one agreement to agree."""
        verdicts = {aspect.verdict for aspect in self}
        return next(v for v in (Verdict.DIFFERS, Verdict.SAME, Verdict.NOT_RECORDED) if v in verdicts)


class Compared(NamedTuple):
    """One error on both sides."""

    error: RecordedError
    modelled: Modelled
    comparison: Comparison


def compare(error: RecordedError, modelled: Modelled) -> Comparison:
    """How what is recorded of an error compares with what came of it in the model."""
    if error.skipped:
        nothing = Aspect(Verdict.NOT_RECORDED, f"not put through: {error.skipped}")
        return Comparison(nothing, nothing, nothing)
    return Comparison(_printed(error, modelled), _severity(error, modelled), _outcome(error, modelled))


def _printed(error: RecordedError, modelled: Modelled) -> Aspect:
    if error.kind in _TAKEN:
        return Aspect(Verdict.NOT_RECORDED, f"the model prints records, not {_TAKEN[error.kind]}s")
    if not error.lines:
        return Aspect(Verdict.NOT_RECORDED, "no kernel's lines are recorded")
    if not modelled.block:
        return Aspect(Verdict.DIFFERS, "the model's firmware could not present the block")
    named = error.lines[0].text.startswith("Hardware error from")
    try:
        lines = dmesg(
            modelled.block,
            Kernel(error.host.kernel),
            source_id=error.source_id if named else None,
            sequence=error.sequence,
        )
    except Malformed as fault:
        return Aspect(Verdict.DIFFERS, f"the model's kernel refuses the block: {fault}")
    differences = tuple(line_differences(error, lines))
    counting = sum(difference.counts for difference in differences)
    said = _said(error, differences)
    if not modelled.printed:
        return Aspect(Verdict.DIFFERS, f"{said}; {_LIMITED}", differences)
    return Aspect(Verdict.DIFFERS if counting else Verdict.SAME, said, differences)


def _said(error: RecordedError, differences: Sequence[LineDifference]) -> str:
    counting = sum(difference.counts for difference in differences)
    cut = sum(difference.why == CUT for difference in differences)
    forms = len(differences) - counting - cut
    parts = [f"{counting} differ"] if counting else []
    parts += [f"{forms} in another form"] if forms else []
    parts += [f"{cut} more in the model, behind the cut"] if cut else []
    whole = f"{len(error.lines)} lines"
    return f"{whole}: {', '.join(parts)}" if counting or forms else ", ".join((whole, _ALIKE, *parts))


def line_differences(error: RecordedError, modelled: Sequence[str]) -> list[LineDifference]:
    """Every line that is not the same, in order."""
    recorded = error.lines
    if max(len(recorded), len(modelled)) > _MATCHED_MAX or [line.text for line in recorded] == modelled:
        return _pairs(error, recorded, modelled)
    matcher = SequenceMatcher(
        None, [_key(line.text) for line in recorded], [_key(text) for text in modelled], autojunk=False
    )
    differences = []
    for _, first, last, model_first, model_last in matcher.get_opcodes():
        differences += _pairs(error, recorded[first:last], modelled[model_first:model_last])
    return differences


def _key(text: str) -> str:
    """What makes two lines one: the same after taking the forms away, or the same DIMM told in another way."""
    line = canonical(text)
    return _DIMM if line.startswith(_DIMM) else line


def _pairs(error: RecordedError, recorded: Sequence[TextLine], modelled: Sequence[str]) -> list[LineDifference]:
    found = []
    for index in range(max(len(recorded), len(modelled))):
        line = recorded[index] if index < len(recorded) else None
        text = modelled[index] if index < len(modelled) else None
        difference = _difference(error, line, text)
        if difference is not None:
            found.append(difference)
    return found


def _difference(error: RecordedError, line: TextLine | None, text: str | None) -> LineDifference | None:
    number, recorded = (0, None) if line is None else (line.number, line.text)
    if recorded is None:
        why = CUT if error.cut else "not in the recording"
        return LineDifference(0, None, text, why, counts=not error.cut)
    if text is None:
        why = "not printed by the model"
        if Form.TYPE in error.forms and canonical(recorded) in INFORMATION_TEXTS:
            why = "follows from the type byte"
        return LineDifference(number, recorded, None, why, counts=True)
    if recorded.rstrip(" ") == text.rstrip(" "):
        return None
    why, counts = _why(error, recorded, text)
    return LineDifference(number, recorded, text, why, counts)


def _why(error: RecordedError, recorded: str, text: str) -> tuple[str, bool]:
    """Why two lines in one place are not the same, and whether that is a difference."""
    if recorded.strip(" ") == text.strip(" "):
        return BLANKS, False
    if canonical(recorded) == canonical(text):
        return "an older form", False
    if recorded.lstrip(" ").startswith(_DIMM) and text.lstrip(" ").startswith(_DIMM):
        return "named from SMBIOS, which the model has none of", False
    if Form.TYPE in error.forms and recorded.lstrip(" ").startswith("error_type: "):
        return Form.TYPE.value, True
    return ("bytes behind the cut are zeros here" if error.cut else "differs"), not error.cut


def _severity(error: RecordedError, modelled: Modelled) -> Aspect:
    if error.kind in _TAKEN:
        return Aspect(Verdict.NOT_RECORDED, f"an {_TAKEN[error.kind]} has none")
    recorded = severity_name(error.severity)
    if not _told_by_kernel(error):
        read = (
            ""
            if modelled.severity == NOT_READ
            else f"; the model's kernel read {severity_name(modelled.severity)}"
        )
        return Aspect(Verdict.NOT_RECORDED, f"only bytes, of severity {recorded}, are recorded{read}")
    if modelled.severity == NOT_READ:
        return Aspect(Verdict.DIFFERS, f"{recorded}; the model's kernel read no record")
    read = severity_name(modelled.severity)
    if read == recorded:
        return Aspect(Verdict.SAME, recorded)
    return Aspect(Verdict.DIFFERS, f"{recorded}; {read} in the model")


def _outcome(error: RecordedError, modelled: Modelled) -> Aspect:
    model = [outcome for outcome in modelled.outcomes if outcome.kind is not OutcomeKind.RESET]
    said = f"model: {_told(model)}"
    if not error.outcomes:
        return _without_outcome(error, model, said)
    missed = [outcome for outcome in error.outcomes if not any(_agrees(outcome, other) for other in model)]
    recorded = _told(error.outcomes)
    if missed:
        return Aspect(Verdict.DIFFERS, f"recorded: {recorded}; {said}{_about(missed, model)}")
    return Aspect(Verdict.SAME, f"recorded: {recorded}; {said}")


def _without_outcome(error: RecordedError, model: list[Outcome], said: str) -> Aspect:
    """No line says what the kernel did: then it logged the error, if the recording goes on at all."""
    if not _told_by_kernel(error):
        return Aspect(Verdict.NOT_RECORDED, f"only bytes are recorded; {said}")
    went_on = error.host.last_line > error.last
    corrected = severity_name(error.severity) in {"corrected", "info"}
    if not (went_on or corrected):
        return Aspect(Verdict.NOT_RECORDED, f"the recording ends with the record; {said}")
    recorded = "no further action" if corrected else "nothing further"
    if model:
        return Aspect(Verdict.DIFFERS, f"recorded: {recorded}; {said}")
    return Aspect(Verdict.SAME, f"recorded: {recorded}; {said}")


def _told_by_kernel(error: RecordedError) -> bool:
    """Whether a kernel's lines are recorded, and not only what firmware wrote."""
    return bool(error.lines) or error.kind is ErrorKind.EDAC


def _agrees(recorded: Outcome, modelled: Outcome) -> bool:
    """Whether the model did what is recorded; what a task is called, and whose page it was, does not count."""
    if recorded.kind is not modelled.kind:
        return False
    match recorded.kind:
        case OutcomeKind.PANIC:
            return recorded.result.rstrip("!") in modelled.result or modelled.result in recorded.result
        case OutcomeKind.SIGNAL | OutcomeKind.OOPS:
            return True
        case _:
            return (recorded.subject, recorded.result) == (modelled.subject, modelled.result)


def _about(missed: list[Outcome], model: list[Outcome]) -> str:
    """Why the model did something else with the same page or abort."""
    pages = {outcome.subject for outcome in model if outcome.kind is OutcomeKind.OFFLINED}
    if any(outcome.kind is OutcomeKind.OFFLINED and outcome.subject in pages for outcome in missed):
        return " (whose page it was is not in the record: the model's memory map decides)"
    if any(outcome.kind is OutcomeKind.PANIC and outcome.result.endswith(_IN_INTERRUPT) for outcome in missed):
        return " (it was taken in an interrupt, which no command says)"
    return ""


def _told(outcomes: list[Outcome]) -> str:
    return "; ".join(outcome.says for outcome in outcomes) or "logged, nothing further"

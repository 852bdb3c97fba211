"""External aborts that a kernel took: every form of line that tells of one, and how it ended on both sides."""

import pytest

from fleet.recordings.carry import carry
from fleet.recordings.compare import Verdict
from fleet.recordings.model import ErrorKind, OutcomeKind
from fleet.recordings.plan import command_of
from fleet.recordings.reading import read
from nodes.events import commands as c

TASK, KERNEL = OutcomeKind.SIGNAL, OutcomeKind.OOPS
EXTERNAL = "synchronous external abort"
FORMS = {  # line -> ESR, FAR, what follows
    f"Internal error: {EXTERNAL}: 96000210 [#1] PREEMPT SMP": (0x96000210, 0, KERNEL),
    f"Internal error: {EXTERNAL}: 0000000096000210 [#1] SMP": (0x96000210, 0, KERNEL),
    f"Internal error: {EXTERNAL}: 96000010": (0x96000010, 0, KERNEL),
    f"Unhandled fault: {EXTERNAL} (0x92000410) at 0x0000ffffb0001000": (0x92000410, 0xFFFF_B000_1000, TASK),
    "Unhandled fault: synchronous abort (translation table walk) (0x96000214) at 0xffffff8008e81000": (
        0x96000214, 0xFFFF_FF80_08E8_1000, KERNEL,
    ),
    "Synchronous External Abort: level 1 (translation table walk) (0x82000015) at 0x0000000000400000": (
        0x82000015, 0x40_0000, TASK,
    ),
    f"Synchronous External Abort: {EXTERNAL} (0x92000410)": (0x92000410, 0, TASK),
    f"app[960]: unhandled exception: DABT (lower EL), ESR 0x0000000092000010, {EXTERNAL} in app[400000+1000]": (
        0x92000010, 0, TASK,
    ),
    "Internal error: synchronous parity or ECC error: 96000018 [#1] SMP": (0x96000018, 0, KERNEL),
}  # fmt: skip
DUMP = """\
Modules linked in: one two
CPU: 3 PID: 960 Comm: weston Not tainted 5.15.0 #1
pstate: 60400005 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)
pc : write_register+0xa0/0x130
---[ end trace 0000000000000000 ]---
"""
DIED = f"Internal error: {EXTERNAL}: 96000210 [#1] SMP\n"
PANIC = "Kernel panic - not syncing: {}Fatal exception{}\n"


def errors_of(text):
    return read("x.log", text.encode()).errors


def outcomes(folder, text):
    """Kind of the recorded outcome, kind of the model's, verdict."""
    imported = carry([read("x.log", text.encode())], folder / "run")
    return [
        (x.error.outcomes[0].kind, x.modelled.outcomes[0].kind, x.comparison.outcome.verdict)
        for x in imported.compared["x-0"]
    ]


@pytest.mark.parametrize(("line", "told"), FORMS.items(), ids=FORMS)
def test_every_form_becomes_an_abort_that_the_kernel_takes(tmp_path, line, told):
    esr, far, follows = told
    (error,) = errors_of(line)

    assert (error.kind, error.esr, error.far) == (ErrorKind.SEA, esr, far)
    assert command_of(error) == (c.PendSError, (esr, -1, 0 if follows is TASK else 2, 0, 2, far))
    assert outcomes(tmp_path, line) == [(follows, follows, Verdict.SAME)]


@pytest.mark.parametrize(
    "line",
    [
        "Internal error: Oops: 96000004 [#1] SMP",
        "Unhandled fault: alignment fault (0x92000021) at 0x0000000000000001",
        "Unhandled fault: external abort on non-linefetch (0x1008) at 0xb6f00000",
        "app[1]: unhandled exception: SP Alignment, ESR 0x9a000000, in app[400000+1000]",
    ],
)
def test_another_exception_is_no_hardware_error(line):
    assert errors_of(f"{line}\nEDAC MC0: ready") == []


def test_an_older_kernel_tells_of_one_abort_twice():
    first = f"Synchronous External Abort: {EXTERNAL} (0x96000210) at 0xffff000008e81000\n"
    (error,) = errors_of(first + "Internal error: : 96000210 [#1] SMP\n" + DUMP)

    assert (error.first, error.last, error.pe) == (1, 7, 3)
    assert len(errors_of(first * 2)) == len(errors_of(DIED * 2)) == 2


def test_the_dump_behind_an_abort_is_understood_and_names_its_pe():
    found = read("x.log", (DIED + DUMP).encode())

    assert (found.understood, found.not_understood, found.other) == (6, [], [])
    assert (found.errors[0].pe, found.hosts[0].version) == (3, "5.15.0")


@pytest.mark.parametrize("named", [f"{EXTERNAL}: ", ""])
def test_a_panic_on_an_oops_is_one_in_the_model_too(tmp_path, named):
    text = DIED + DUMP + PANIC.format(named, "")

    assert outcomes(tmp_path, text) == [(OutcomeKind.PANIC, OutcomeKind.PANIC, Verdict.SAME)]


def test_a_panic_in_an_interrupt_does_not_say_that_every_oops_panics(tmp_path):
    text = DIED + PANIC.format(f"{EXTERNAL}: ", " in interrupt") + DIED

    assert outcomes(tmp_path, text) == [
        (OutcomeKind.PANIC, KERNEL, Verdict.DIFFERS),
        (KERNEL, KERNEL, Verdict.SAME),
    ]


def test_a_panic_of_another_oops_is_not_the_aborts():
    text = DIED + "Internal error: Oops: 96000004 [#2] SMP\n" + PANIC.format("Oops: ", "")

    assert [outcome.kind for outcome in errors_of(text)[0].outcomes] == [KERNEL]

"""What Linux does when it takes an SError or a synchronous external abort: host and guest alike.

``SERROR_RULE`` is the rule for every error state; "UEU in a guest" is its row UEU, applied at EL1 by
nodes.guest.kernel. KVM asks the same classifier about a guest's physical SError (nodes.hypervisor.kvm).

Sources: Linux arch/arm64/include/asm/traps.h arm64_is_ras_serror(), arm64_ras_serror_get_severity();
arch/arm64/kernel/traps.c arm64_is_fatal_ras_serror(), do_serror(), die(), arm64_force_sig_fault();
arch/arm64/mm/fault.c do_sea(), fault_info[]. The same in 6.1, 6.12 and 6.19, but for a walk at level -1: 6.1 does
not know it (do_bad(), "unknown 19" and "unknown 27"), with the same signal for a task.
"""

from enum import Enum
from typing import Final, NamedTuple

from nodes.events import Signal, SignalCode
from nodes.spec.aarch64 import SEA_FAULT_STATUS
from nodes.spec.severity import Aet
from nodes.spec.syndrome import AET_SHIFT, DFSC_MASK, DFSC_SERROR, IDS, EsrAbort


class SErrorVerdict(Enum):
    """What the classifier says of an SError's syndrome."""

    NOT_RAS = "no RAS SError: IMPLEMENTATION DEFINED syndrome, or a CPU without RAS; not containable"
    GOES_ON = "the CPU can make progress"
    FATAL = "the CPU cannot make progress"
    PANICS = "the error has been silently propagated: the classifier itself panics, whoever asks"


SERROR_RULE: Final[dict[int, SErrorVerdict]] = {  # by AET
    Aet.CE: SErrorVerdict.GOES_ON,
    Aet.UEO: SErrorVerdict.GOES_ON,
    Aet.UEU: SErrorVerdict.FATAL,
    Aet.UER: SErrorVerdict.FATAL,
    Aet.UC: SErrorVerdict.PANICS,
    4: SErrorVerdict.PANICS,  # reserved
    5: SErrorVerdict.PANICS,  # reserved
    7: SErrorVerdict.PANICS,  # reserved
}
SERROR_PANIC: Final = "Asynchronous SError Interrupt"


def classify_serror(esr: int, *, has_ras: bool = True) -> SErrorVerdict:
    """The classifier's word on an SError; a DFSC other than 0x11 counts as uncontainable."""
    if esr & IDS or not has_ras:
        return SErrorVerdict.NOT_RAS
    if esr & DFSC_MASK != DFSC_SERROR:
        return SErrorVerdict.PANICS
    return SERROR_RULE[esr >> AET_SHIFT & 7]


def serror_panics(esr: int, *, has_ras: bool = True) -> bool:
    """Whether a kernel that takes this SError itself panics; otherwise it goes on and logs nothing."""
    return classify_serror(esr, has_ras=has_ras) is not SErrorVerdict.GOES_ON


class SeaSignal(NamedTuple):
    """What a task gets for an abort that nobody claimed. ``name``: what Linux calls the abort."""

    name: str
    signal: Signal
    code: SignalCode


def _on_walk(name: str) -> SeaSignal:
    return SeaSignal(name, Signal.SIGKILL, SignalCode.SI_KERNEL)


SEA_SIGNALS: Final[dict[int, SeaSignal]] = {  # by fault status
    0x10: SeaSignal("synchronous external abort", Signal.SIGBUS, SignalCode.BUS_OBJERR),
    **{0x14 + level: _on_walk(f"level {level} (translation table walk)") for level in range(-1, 4)},
    0x18: SeaSignal("synchronous parity or ECC error", Signal.SIGBUS, SignalCode.BUS_OBJERR),
    **{
        0x1C + level: _on_walk(f"level {level} synchronous parity error (translation table walk)")
        for level in range(-1, 4)
    },
}
assert SEA_SIGNALS.keys() == SEA_FAULT_STATUS, "every fault status of an external abort has its row"


def is_sea(esr: int) -> bool:
    """Whether an abort's fault status is one that do_sea() handles."""
    return esr & DFSC_MASK in SEA_SIGNALS


def signal_address(signal: SeaSignal, esr: int, far: int) -> int:
    """si_addr of the signal for an abort: FAR_ELx where it is valid; SIGKILL carries no address."""
    return 0 if signal.signal is Signal.SIGKILL or esr & EsrAbort.FnV.mask else far


def oops_panic(name: str, *, in_interrupt: bool, panic_on_oops: bool) -> str | None:
    """What die() panics with; None: the task that ran is killed instead."""
    if in_interrupt:
        return f"{name}: Fatal exception in interrupt"
    return f"{name}: Fatal exception" if panic_on_oops else None

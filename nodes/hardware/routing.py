"""Where an SError or a synchronous external abort goes.

``TARGETS`` is the table of the document; ``route_serror`` adds masking. A target below the current level means
that the SError stays pending, whatever PSTATE.A says.

Sources: DDI0487 D1.3.1 (vectors), J1.3.2.6 AArch64.PhysicalSErrorTarget, J1.3.2.2 EffectiveHCR_AMO;
AArch64.DataAbort; D24.9.1 (accesses to DISR_EL1); checked against Sail v8_base.sail v9.4 and QEMU
target/arm/helper.c, cpu-irq.c. Leaves out: FEAT_DoubleFault2, AArch32.
"""

from enum import Enum
from typing import Final

from nodes.spec.aarch64 import (
    VECTOR_CURRENT_SP0,
    VECTOR_CURRENT_SPX,
    VECTOR_LOWER_A64,
    VECTOR_SERROR,
    VECTOR_SYNC,
    HcrEl2,
    ScrEl3,
)
from nodes.spec.syndrome import DISR_A, ISS_MASK

PENDING: Final = -1  # not taken
EL0, EL1, EL2, EL3 = range(4)

# Target of a physical SError, before PSTATE.A. Rows: SCR_EL3.EA, HCR_EL2.(AMO|TGE); columns: current level.
TARGETS: Final[dict[tuple[int, int], tuple[int, int, int, int]]] = {
    #                      EL0  EL1  EL2      EL3
    (0, 0): (EL1, EL1, PENDING, PENDING),
    (0, 1): (EL2, EL2, EL2, PENDING),
    (1, 0): (EL3, EL3, EL3, EL3),
    (1, 1): (EL3, EL3, EL3, EL3),
}

_EA, _NMEA, _EASE = ScrEl3.EA.mask, ScrEl3.NMEA.mask, ScrEl3.EASE.mask
_AMO, _TGE, _E2H = HcrEl2.AMO.mask, HcrEl2.TGE.mask, HcrEl2.E2H.mask
_TEA, _VSE = HcrEl2.TEA.mask, HcrEl2.VSE.mask


class Disr(Enum):
    """What an access to DISR_EL1 reaches."""

    OWN = "DISR_EL1 itself"
    VIRTUAL = "VDISR_EL2"
    ZERO = "read as zero, writes ignored"


def host_el0(hcr: int) -> bool:
    """Whether EL0 belongs to the host: E2H and TGE are both 1."""
    return bool(hcr & _E2H and hcr & _TGE)


def effective_amo(hcr: int) -> bool:
    """EffectiveHCR_AMO: while TGE is 1, the bit itself does not count but E2H does."""
    return not hcr & _E2H if hcr & _TGE else bool(hcr & _AMO)


def serror_target(scr: int, hcr: int, el: int) -> int:
    """The level that a physical SError is routed to, PSTATE.A aside; PENDING where it cannot be taken."""
    to_el2 = effective_amo(hcr) if el == EL1 else bool(hcr & (_AMO | _TGE))
    return TARGETS[bool(scr & _EA), to_el2][el]


def serror_masked(scr: int, hcr: int, el: int, target: int) -> bool:
    """Whether PSTATE.A=1 masks an SError that is routed to ``target``."""
    if target == EL3:
        return el == EL3 and not scr & _NMEA
    if target == EL2 and el <= EL1:
        return el == EL0 and host_el0(hcr)
    return True


def route_serror(scr: int, hcr: int, el: int, *, masked: bool) -> int:
    """The level that takes a physical SError now; PENDING when it stays pending."""
    target = serror_target(scr, hcr, el)
    if target == PENDING or (masked and serror_masked(scr, hcr, el, target)):
        return PENDING
    return target


def route_sea(scr: int, hcr: int, el: int, *, stage_2: bool = False) -> int:
    """The level that takes a synchronous external abort; it is never masked and never pending."""
    if el == EL3 or scr & _EA:
        return EL3
    if el == EL2 or hcr & (_TGE | _TEA) or stage_2:
        return EL2
    return EL1


def vector_offset(scr: int, el: int, target: int, *, serror: bool, sp0: bool = False) -> int:
    """Offset from VBAR_ELx of the target where an SError, or an abort, enters; ``sp0``: EL``el`` ran on SP_EL0.

    With SCR_EL3.EASE an abort that is taken to EL3 enters where SErrors do.
    """
    base = VECTOR_LOWER_A64
    if el == target:
        base = VECTOR_CURRENT_SP0 if sp0 else VECTOR_CURRENT_SPX
    return base + (VECTOR_SERROR if serror or (target == EL3 and scr & _EASE) else VECTOR_SYNC)


def _virtual_serror_pending(hcr: int, el: int) -> bool:
    """Whether a virtual SError is pending and enabled, PSTATE.A aside."""
    return bool(hcr & _VSE and hcr & _AMO) and not hcr & _TGE and el <= EL1


def virtual_serror_deliverable(hcr: int, el: int, *, masked: bool) -> bool:
    """Whether a PE at EL0 or EL1 takes the pending virtual SError now."""
    return not masked and _virtual_serror_pending(hcr, el)


def virtual_barrier(hcr: int, vsesr: int, el: int, *, masked: bool) -> int:
    """VDISR_EL2 after an ESB at EL0 or EL1 defers the pending virtual SError; 0 when there is nothing to defer.

    An unmasked one is taken instead of deferred.
    """
    return DISR_A | vsesr & ISS_MASK if masked and _virtual_serror_pending(hcr, el) else 0


def disr_reached(scr: int, hcr: int, el: int) -> Disr:
    """Which register an access to DISR_EL1 from a level reaches; AMO counts as it stands, TGE aside."""
    if el < EL2 and hcr & _AMO:
        return Disr.VIRTUAL
    return Disr.ZERO if el < EL3 and scr & _EA else Disr.OWN

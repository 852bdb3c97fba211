"""The RAS nodes of a host: kinds, what each implements, how it is set up.

A RAS node is named by an integer: ``kind << 8 | instance``. Memory has one RAS node for each DIMM's channel, a PE
one each for its caches and its TLBs, a socket one for the interconnect, and the host one for its PCIe root port.

The features are those of a server part that implements everything this program models; no document prescribes
them. Sources for the fields: IHI0100 A.c 3.2.27 (ERR<n>FR), 3.2.25 (ERR<n>CTLR), 3.2.33 (SERR).
"""

from enum import IntEnum
from typing import Final, NamedTuple

from nodes.spec.err import CounterFormat, ErrCtlr, ErrFr, Serr, counters_of
from nodes.spec.severity import ErrorState

KIND_SHIFT: Final = 8
INSTANCE_MASK: Final = 0xFF


class RasNodeKind(IntEnum):
    """What a RAS node watches."""

    MEMORY = 0
    CACHE = 1
    TLB = 2
    BUS = 3
    PCIE = 4


class Lines(IntEnum):
    """Interrupt outputs of a RAS node, as a mask."""

    FHI = 1
    ERI = 2
    CRI = 4


class RasNodeModel(NamedTuple):
    """What one kind of RAS node implements and how firmware sets it up."""

    kind: RasNodeKind
    fr: int  # ERR<n>FR
    ctlr: int  # ERR<n>CTLR after set-up
    controls: int  # bits of ERR<n>CTLR that exist; the rest is RES0
    system_registers: bool  # reached by ERX*; else memory-mapped
    owned_by_pe: bool
    counters: tuple[CounterFormat, ...]
    overflows: int  # the sticky overflow bits of all counters
    halves: tuple[tuple[int, int], ...]  # bits of ERR<n>CTLR for reads, each with its twin for writes
    codes: tuple[Serr, ...]  # index: ErrorState; ERR<n>STATUS.SERR of a real error, and of an injected one


_MEMORY_FR: Final = ErrFr.of(ED=2, UI=2, FI=2, UE=2, CFI=2, CEC=4, DUI=2, CEO=1, INJ=1, CI=2, CED=1)
_PE_FR: Final = ErrFr.of(ED=2, UI=2, FI=2, UE=2, CFI=2, CEC=2, RP=1, DUI=2, CEO=0, INJ=1, CI=0, CED=1)
_BUS_FR: Final = ErrFr.of(ED=2, UI=3, FI=3, UE=3, CFI=3, CEC=4, DUI=3, CEO=0, INJ=1, CI=2, CED=1)
_PCIE_FR: Final = ErrFr.of(ED=1, UI=2, FI=2, UE=0, CFI=2, CEC=0, INJ=1)
_CTLR: Final = ErrCtlr.of(ED=1, UI=1, FI=1, UE=1, CFI=1, CED=1)
_BUS_CTLR: Final = _CTLR.but(WUI=1, WFI=1, WUE=1, WCFI=1)  # loads and stores are controlled apart
_PCIE_CTLR: Final = ErrCtlr.of(UI=1, FI=1, CFI=1)


# Which value of a field of ERR<n>FR brings which bits of ERR<n>CTLR.
_CONTROLS: Final = (
    (ErrFr.ED, 2, ErrCtlr.ED.mask),
    (ErrFr.UI, 2, ErrCtlr.UI.mask),
    (ErrFr.UI, 3, ErrCtlr.UI.mask | ErrCtlr.WUI.mask),
    (ErrFr.FI, 2, ErrCtlr.FI.mask),
    (ErrFr.FI, 3, ErrCtlr.FI.mask | ErrCtlr.WFI.mask),
    (ErrFr.UE, 2, ErrCtlr.UE.mask),
    (ErrFr.UE, 3, ErrCtlr.UE.mask | ErrCtlr.WUE.mask),
    (ErrFr.CFI, 2, ErrCtlr.CFI.mask),
    (ErrFr.CFI, 3, ErrCtlr.CFI.mask | ErrCtlr.WCFI.mask),
    (ErrFr.DUI, 2, ErrCtlr.DUI.mask),
    (ErrFr.DUI, 3, ErrCtlr.DUI.mask | ErrCtlr.WDUI.mask),
    (ErrFr.DFI, 2, ErrCtlr.DFI.mask),
    (ErrFr.DFI, 3, ErrCtlr.DFI.mask | ErrCtlr.WDFI.mask),
    (ErrFr.CI, 2, ErrCtlr.CI.mask),
    (ErrFr.CED, 1, ErrCtlr.CED.mask),
)


def controls_of(fr: int) -> int:
    """The bits of ERR<n>CTLR that a RAS node with this ERR<n>FR has."""
    return sum(mask for field, value, mask in _CONTROLS if (fr & field.mask) >> field.lsb == value)


_HALVES: Final = (  # field of ERR<n>FR; where it is 3, its control for reads and the one for writes
    (ErrFr.UI, ErrCtlr.UI.mask, ErrCtlr.WUI.mask),
    (ErrFr.FI, ErrCtlr.FI.mask, ErrCtlr.WFI.mask),
    (ErrFr.UE, ErrCtlr.UE.mask, ErrCtlr.WUE.mask),
    (ErrFr.CFI, ErrCtlr.CFI.mask, ErrCtlr.WCFI.mask),
    (ErrFr.DUI, ErrCtlr.DUI.mask, ErrCtlr.WDUI.mask),
    (ErrFr.DFI, ErrCtlr.DFI.mask, ErrCtlr.WDFI.mask),
)


def halves_of(fr: int) -> tuple[tuple[int, int], ...]:
    """The controls that a RAS node with this ERR<n>FR has twice: for reads, and for writes."""
    return tuple((reads, writes) for field, reads, writes in _HALVES if (fr & field.mask) >> field.lsb == 3)


# ERR<n>STATUS.SERR by kind: none, CE, DE, UEO, UER, UEU, UC. IERR is 0 in all.
_CODES: Final = {
    RasNodeKind.MEMORY: (Serr.NO_ERROR, *[Serr.DATA_DRAM] * 5, Serr.PRODUCER_CONTROL),
    RasNodeKind.CACHE: (Serr.NO_ERROR, *[Serr.CACHE_DATA] * 5, Serr.CACHE_TAG),
    RasNodeKind.TLB: (Serr.NO_ERROR, *[Serr.TLB_DATA] * 4, Serr.TLB_TAG, Serr.TLB_TAG),
    RasNodeKind.BUS: (
        Serr.NO_ERROR,
        Serr.INTERNAL_DATAPATH,
        Serr.DEFERRED_FROM_COMPLETER,
        Serr.INTERNAL_DATAPATH,
        Serr.COMPLETER_ERROR,
        Serr.COMPLETER_ERROR,
        Serr.INTERNAL_TIMEOUT,
    ),
    RasNodeKind.PCIE: (Serr.NO_ERROR, *[Serr.PCIE_LOGGED] * 6),
}


def _model(kind: RasNodeKind, fr: int, ctlr: int, *, pe: bool) -> RasNodeModel:
    controls, codes = controls_of(fr), _CODES[kind]
    assert not ctlr & ~controls, f"{kind.name}: set up with bits that do not exist"
    assert len(codes) == len(ErrorState), f"{kind.name}: a state without a code"
    counters = counters_of(fr)
    overflows = sum(counter.overflow for counter in counters)
    return RasNodeModel(kind, fr, ctlr, controls, pe, pe, counters, overflows, halves_of(fr), codes)


MODELS: Final = (  # index: RasNodeKind
    _model(RasNodeKind.MEMORY, _MEMORY_FR, _CTLR, pe=False),
    _model(RasNodeKind.CACHE, _PE_FR, _CTLR, pe=True),
    _model(RasNodeKind.TLB, _PE_FR, _CTLR, pe=True),
    _model(RasNodeKind.BUS, _BUS_FR, _BUS_CTLR, pe=False),
    _model(RasNodeKind.PCIE, _PCIE_FR, _PCIE_CTLR, pe=False),
)


def ras_node(kind: RasNodeKind, instance: int) -> int:
    """The name of a RAS node."""
    return kind << KIND_SHIFT | instance & INSTANCE_MASK


def model_of(node: int) -> RasNodeModel:
    """What the named RAS node implements."""
    return MODELS[node >> KIND_SHIFT]


def ras_node_text(node: int) -> str:
    """A RAS node's name for people: ``memory 3``."""
    return f"{RasNodeKind(node >> KIND_SHIFT).name.lower()} {node & INSTANCE_MASK}"

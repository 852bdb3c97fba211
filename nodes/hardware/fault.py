"""The faults that can be injected: which RAS node detects what, and how a PE learns of it.

One row for each component and error state. The state is what the RAS node records; ``delivery`` is what the PE
that consumed the error takes. A synchronous abort has no code for UEU, so UEU comes as an SError; an error that a
scrub found, or that only an interrupt reports, delivers nothing.

Sources: IHI0100 A.c 2.4.2 (states), 2.4.4 (poison); DDI0487 J1.3.3;
SERR codes of 3.2.33 stand in nodes.hardware.ras_nodes.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from nodes.hardware.ras_nodes import MODELS, RasNodeKind
from nodes.spec.err import Serr
from nodes.spec.severity import ErrorState


class Delivery(IntEnum):
    """What reaches the PE in-band."""

    NONE = 0
    SEA = 1  # synchronous external abort
    SERROR = 2


class Fault(NamedTuple):
    """One kind of fault."""

    name: str
    kind: RasNodeKind
    state: ErrorState
    delivery: Delivery
    says: str
    critical: bool = False
    poison: bool = False  # what is found is poison: the value became corrupt elsewhere
    write: bool = False  # a store met it
    serr: Serr = Serr.NO_ERROR  # of a row: the code that its RAS node has for that state


_MEMORY, _CACHE, _TLB = RasNodeKind.MEMORY, RasNodeKind.CACHE, RasNodeKind.TLB
_BUS, _PCIE = RasNodeKind.BUS, RasNodeKind.PCIE
_CE, _DE, _UEO = ErrorState.CE, ErrorState.DE, ErrorState.UEO
_UER, _UEU, _UC = ErrorState.UER, ErrorState.UEU, ErrorState.UC
_NONE, _SEA, _SERROR = Delivery.NONE, Delivery.SEA, Delivery.SERROR

_ROWS: Final = (
    Fault("memory-ce", _MEMORY, _CE, _NONE, "a bit of DRAM flipped, ECC corrected it"),
    Fault("memory-de", _MEMORY, _DE, _NONE, "more than ECC corrects: the line became poison"),
    Fault("memory-ueo", _MEMORY, _UEO, _NONE, "a patrol scrub found an uncorrectable line"),
    Fault("memory-uer", _MEMORY, _UER, _SEA, "a load met an uncorrectable line"),
    Fault(
        "memory-ueu",
        _MEMORY,
        _UEU,
        _SERROR,
        "a store met an uncorrectable line, its context is lost",
        write=True,
    ),
    Fault("memory-uc", _MEMORY, _UC, _SERROR, "an address error: any line may be wrong"),
    Fault("cache-ce", _CACHE, _CE, _NONE, "a bit of the L2 cache flipped, ECC corrected it"),
    Fault("cache-de", _CACHE, _DE, _NONE, "a dirty line was evicted as poison"),
    Fault("cache-ueo", _CACHE, _UEO, _SERROR, "an uncorrectable line that nobody used"),
    Fault("cache-uer", _CACHE, _UER, _SEA, "a load met an uncorrectable line in the cache"),
    Fault("cache-ueu", _CACHE, _UEU, _SERROR, "an uncorrectable line was used, the PE cannot go on"),
    Fault("cache-uc", _CACHE, _UC, _SERROR, "a tag error: data may have gone astray"),
    Fault("tlb-ce", _TLB, _CE, _NONE, "a parity error in a TLB entry, the walk was made again"),
    Fault("tlb-de", _TLB, _DE, _NONE, "a TLB entry was marked and not used"),
    Fault("tlb-ueo", _TLB, _UEO, _SERROR, "a bad TLB entry that nobody used"),
    Fault("tlb-uer", _TLB, _UER, _SERROR, "a bad TLB entry was used, the access can be repeated"),
    Fault("tlb-ueu", _TLB, _UEU, _SERROR, "a bad TLB entry was used, the PE cannot go on"),
    Fault("tlb-uc", _TLB, _UC, _SERROR, "a bad TLB entry let accesses go astray"),
    Fault("bus-ce", _BUS, _CE, _NONE, "a flit was sent again"),
    Fault("bus-de", _BUS, _DE, _NONE, "poison was passed on", poison=True),
    Fault("bus-ueo", _BUS, _UEO, _SERROR, "a speculative access failed"),
    Fault("bus-uer", _BUS, _UER, _SEA, "a Completer answered a load with an error"),
    Fault(
        "bus-ueu",
        _BUS,
        _UEU,
        _SERROR,
        "a Completer answered a store with an error",
        write=True,
    ),
    Fault(
        "bus-uc",
        _BUS,
        _UC,
        _SERROR,
        "the interconnect timed out, order is lost",
        critical=True,
    ),
    Fault("pcie-ce", _PCIE, _CE, _NONE, "a link error was corrected by replay"),
    Fault("pcie-de", _PCIE, _DE, _NONE, "a poisoned TLP was passed on", poison=True),
    Fault("pcie-ueo", _PCIE, _UEO, _NONE, "an unsupported request, advisory"),
    Fault("pcie-uer", _PCIE, _UER, _NONE, "a completion timed out, non-fatal"),
    Fault("pcie-ueu", _PCIE, _UEU, _NONE, "the link went down, the device must be reset"),
    Fault("pcie-uc", _PCIE, _UC, _NONE, "a malformed TLP, fatal"),
)
FAULTS: Final = tuple(row._replace(serr=MODELS[row.kind].codes[row.state]) for row in _ROWS)
FAULT_INDEX: Final = {fault.name: index for index, fault in enumerate(FAULTS)}

# Consuming poison: the PE's cache records what it could not defer any further.
POISON_CONSUMED: Final = Fault(
    "poison",
    _CACHE,
    _UER,
    _SEA,
    "a load met poison",
    poison=True,
    serr=Serr.DEFERRED_NOT_SUPPORTED_REQUESTER,
)

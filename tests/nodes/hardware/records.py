"""Error records of any RAS node, and doubles of what the hardware asks."""

from nodes.hardware.board import Board, Setup
from nodes.hardware.dram import DramGeometry
from nodes.hardware.ras_nodes import MODELS, controls_of, halves_of
from nodes.hardware.record import DetectedError, ErrorRecord
from nodes.ledger import Ledger
from nodes.spec.aarch64 import SCR_FIRMWARE_FIRST, SCR_KERNEL_FIRST
from nodes.spec.err import (
    CorrectedError,
    ErrAddr,
    ErrCtlr,
    ErrFr,
    ErrStatus,
    RecordFormat,
    Serr,
    counters_of,
)
from nodes.spec.severity import UET_OF, ErrorState

V1, V1P1 = RecordFormat.V1, RecordFormat.V1P1
KERNEL_FIRST, FIRMWARE_FIRST = SCR_KERNEL_FIRST, SCR_FIRMWARE_FIRST
GEOMETRY = DramGeometry()
OLD_SERR, NEW_SERR = Serr.ASSERTION, Serr.DATA_DRAM
OLD_ADDRESS, NEW_ADDRESS = 0x8000_0040, 0x9000_0080


def ras_node_with(ctlr=None, misc0=0, **fr):
    """The record of a RAS node with these fields in FR and CTLR; ED is on."""
    features = int(ErrFr.of(**{"ED": 2} | fr))
    model = MODELS[0]._replace(
        fr=features,
        ctlr=int(ErrCtlr.of(**{"ED": 1} | (ctlr or {}))),
        controls=controls_of(features),
        counters=counters_of(features),
        overflows=sum(counter.overflow for counter in counters_of(features)),
        halves=halves_of(features),
    )
    return ErrorRecord(model, misc0)


def status_of(state, **fields):
    """A valid STATUS that holds an old error of this state."""
    types = {
        ErrorState.NONE: {},
        ErrorState.CE: {"CE": CorrectedError.TRANSIENT},
        ErrorState.DE: {"DE": 1},
    }.get(state) or ({"UE": 1, "UET": UET_OF[state]} if state in UET_OF else {})
    if state is ErrorState.NONE:
        return ErrStatus.of(**fields)
    return ErrStatus.of(**{"V": 1, "AV": 1, "SERR": OLD_SERR} | types | fields)


def holding(record, state, **fields):
    """The same record, with an old error in it."""
    record.status = int(status_of(state, **fields))
    record.addr = int(ErrAddr.of(NS=1, PADDR=OLD_ADDRESS))
    return record


def error(state, **fields):
    """A new error at another place than the old one."""
    return DetectedError(**{"state": state, "serr": NEW_SERR, "address": NEW_ADDRESS} | fields)


def status(record):
    """STATUS of a record by its fields."""
    return ErrStatus(record.status)


class Asked:
    """What was asked, in order: the name of the method, or of the event, and its arguments."""

    def __init__(self):
        self.calls = []

    def publish(self, kind, *fields):
        self.calls.append((kind.__name__, *fields))

    def __getattr__(self, name):
        return lambda *args: self.calls.append((name, *args))

    def names(self):
        return [call[0] for call in self.calls]

    def of(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


def board_with(scr=FIRMWARE_FIRST, record_format=V1P1, ce_threshold=1, geometry=GEOMETRY):
    """A board alone, and what it asks."""
    asked = Asked()
    return Board(asked, Ledger(), Setup(geometry, record_format, scr, ce_threshold)), asked

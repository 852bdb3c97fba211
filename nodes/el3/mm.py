"""The MM partition: builds a status block from what EL3 read of an error record.

EL3 clears the record before it calls the partition, so a crash in between loses the error; a source whose block
is unread keeps that block, and the new one is dropped.

Sources: TF-A plat/arm/board/neoverse_rd/common/ras (order of clearing and calling), services/std_svc/spm_mm;
ACPI 6.5 18.3.2.7.1.
"""

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from nodes.el3.section_bodies import Captured, memory_body, pcie_body, processor_body
from nodes.el3.severity_policy import TABLE, judged
from nodes.hardware.dram import DramGeometry
from nodes.hardware.ras_nodes import INSTANCE_MASK, KIND_SHIFT, RasNodeKind
from nodes.policy import SeverityPolicy
from nodes.spec.arm_section import ARM_GUID
from nodes.spec.err import OF
from nodes.spec.guid import NIL
from nodes.spec.layout import padded
from nodes.spec.memory_sections import MEMORY_GUID
from nodes.spec.platform_sections import PCIE_GUID
from nodes.spec.severity import Severity
from nodes.spec.status_block import (
    ENTRY_COUNT_SHIFT,
    ENTRY_REVISION,
    ENTRY_SIZE,
    BlockStatus,
    DataEntryHead,
    EntryValid,
    StatusBlockHead,
)


class Component(NamedTuple):
    """How errors of one kind of RAS node are told."""

    source: int  # index into the host's error sources (nodes.el3.sources)
    section_type: bytes
    body: Callable[[Captured, DramGeometry], bytes]


MEMORY_SOURCE, PROCESSOR_SOURCE, PCIE_SOURCE = range(3)
COMPONENTS: Final = (  # index: RasNodeKind
    Component(MEMORY_SOURCE, MEMORY_GUID, memory_body),
    Component(PROCESSOR_SOURCE, ARM_GUID, processor_body),
    Component(PROCESSOR_SOURCE, ARM_GUID, processor_body),
    Component(PROCESSOR_SOURCE, ARM_GUID, processor_body),
    Component(PCIE_SOURCE, PCIE_GUID, pcie_body),
)
_HEADS: Final = struct.Struct(StatusBlockHead.codec.format + DataEntryHead.codec.format[1:])
_ONE_ENTRY: Final = 1 << ENTRY_COUNT_SHIFT
_BLOCK_STATUS: Final = tuple(  # by severity
    _ONE_ENTRY | (BlockStatus.CORRECTED if severity is Severity.CORRECTED else BlockStatus.UNCORRECTED)
    for severity in Severity
)
_FRU_TEXTS: Final = tuple(padded(f"DIMM {dimm}", 20) for dimm in range(INSTANCE_MASK + 1))
_NO_TEXT: Final = bytes(20)
_WITH_TIME: Final = int(EntryValid.TIMESTAMP)
_WITH_TEXT: Final = int(EntryValid.TIMESTAMP | EntryValid.FRU_TEXT)


def source_of(node: int) -> int:
    """Which of the host's components an error of this RAS node belongs to."""
    return COMPONENTS[node >> KIND_SHIFT].source


def build_block(captured: Captured, geometry: DramGeometry, policy: SeverityPolicy, timestamp: bytes) -> bytes:
    """The status block for one error record; ``timestamp`` is BCD."""
    kind = captured.node >> KIND_SHIFT
    component = COMPONENTS[kind]
    body = component.body(captured, geometry)
    severity, flags, on_overflow = TABLE[policy][judged(captured.status, policy)]
    text = _NO_TEXT
    if kind == RasNodeKind.MEMORY:
        text = _FRU_TEXTS[captured.node & INSTANCE_MASK]
    heads = _HEADS.pack(
        _BLOCK_STATUS[severity],
        0,
        0,
        ENTRY_SIZE + len(body),
        severity,
        component.section_type,
        severity,
        ENTRY_REVISION,
        _WITH_TEXT if text is not _NO_TEXT else _WITH_TIME,
        flags | on_overflow if captured.status & OF else flags,
        len(body),
        NIL,
        text,
        timestamp,
    )
    return heads + body

"""BERT, the error record of the previous boot, and AEST, the table of RAS nodes for kernel-first.

Of an AEST of revision 2 the nodes are read that lie as in revision 1: vendor nodes and record groups of 16 and
64 KiB do not, and are refused.

Sources: ACPI 6.5 18.3.1 (BERT); Arm DEN0085 (AEST); ACPICA source/include/actbl2.h; Linux
drivers/acpi/apei/bert.c.
"""

from enum import IntEnum, IntFlag
from typing import Final, Self

import msgspec

from nodes.spec.hest import HEADER_SIZE, TableHeader, table_header
from nodes.spec.layout import (
    Layout,
    Malformed,
    Octets2,
    Octets3,
    Octets16,
    Reader,
    layout,
    u8,
    u16,
    u32,
    u64,
)
from nodes.spec.status_block import StatusBlock, StatusBlockHead, block_length

AEST_NODE_HEAD: Final = 44  # bytes
_GROUP_FORMATS_SINCE: Final = 2  # revision of AEST; byte 1 of an interface says how large a record group is


@layout(size=12)
class BertBody(Layout, frozen=True, gc=False):
    """What follows the table header of BERT."""

    region_length: u32  # bytes
    region_address: u64


class Bert(msgspec.Struct, frozen=True, gc=False):
    """Boot error record table: where the error region of the previous boot lies."""

    header: TableHeader
    body: BertBody

    def encode(self) -> bytes:
        """The table; length and checksum as the header has them."""
        return self.header.encode() + self.body.encode()

    @classmethod
    def decode(cls, source: bytes) -> Self:
        """The table at the start of ``source``."""
        header = table_header(source, b"BERT")
        return cls(header, BertBody.decode(source[: header.length], HEADER_SIZE))


def bert_blocks(region: bytes) -> tuple[StatusBlock, ...]:
    """The status blocks of a boot error region, up to the first whose block status is 0.

    Raises Malformed as StatusBlock does.
    """
    blocks: list[StatusBlock] = []
    at = 0
    while at + StatusBlockHead.codec.size <= len(region) and StatusBlockHead.decode(region, at).block_status:
        blocks.append(StatusBlock.decode(region, at))
        at += block_length(region[at : at + StatusBlockHead.codec.size])
    return tuple(blocks)


class AestNodeType(IntEnum):
    """Kind of an AEST node; component type of an Arm RAS section."""

    PROCESSOR = 0
    MEMORY = 1
    SMMU = 2
    VENDOR = 3
    GIC = 4
    PCIE = 5
    PROXY = 6


class AestInterfaceType(IntEnum):
    """How the records of a RAS node are reached."""

    SYSTEM_REGISTER = 0
    MMIO = 1
    SINGLE_RECORD_MMIO = 2


class AestInterruptType(IntEnum):
    """Which interrupt of a RAS node."""

    FHI = 0
    ERI = 1


class ProcessorFlag(IntFlag):
    """Flags of processor node data; either one requires processor id 0."""

    GLOBAL = 1 << 0
    SHARED = 1 << 1


@layout(size=AEST_NODE_HEAD)
class AestNodeHead(Layout, frozen=True, gc=False):
    """Head of an AEST node."""

    type: u8  # AestNodeType
    length: u16  # bytes of the whole node
    reserved: u8
    data_offset: u32  # bytes from the start of the node
    interface_offset: u32
    interrupt_offset: u32
    interrupt_count: u32
    timestamp_rate_hz: u64
    reserved_28: u64
    injection_countdown_rate_hz: u64


@layout(size=16)
class AestProcessor(Layout, frozen=True, gc=False):
    """Node data of a processor; resource data follows."""

    processor_id: u32
    resource_type: u8  # 0 cache, 1 TLB, 2 generic
    reserved: u8
    flags: u8  # ProcessorFlag
    revision: u8
    affinity: u64


@layout(size=4)
class AestMemory(Layout, frozen=True, gc=False):
    """Node data of a memory controller."""

    srat_proximity: u32


@layout(size=8)
class AestGic(Layout, frozen=True, gc=False):
    """Node data of a GIC."""

    interface_type: u32  # 0 CPU interface, 1 distributor, 2 redistributor, 3 ITS
    instance: u32


@layout(size=8)
class AestSmmu(Layout, frozen=True, gc=False):
    """Node data of an SMMU."""

    iort_reference: u32
    subcomponent: u32


@layout(size=24)
class AestVendor(Layout, frozen=True, gc=False):
    """Node data of a vendor's component, version 1."""

    hardware_id: u32
    unique_id: u32
    vendor_data: Octets16


@layout(size=4)
class AestPcie(Layout, frozen=True, gc=False):
    """Node data of a PCIe root complex."""

    iort_reference: u32


@layout(size=8)
class AestProxy(Layout, frozen=True, gc=False):
    """Node data of a proxy."""

    address: u64


@layout(size=48)
class AestInterface(Layout, frozen=True, gc=False):
    """Interface of a RAS node, version 1."""

    type: u8  # AestInterfaceType
    reserved: Octets3  # revision 2: the first byte is the group format, 0 for 4 KiB
    flags: u32  # bit 0 shared, bit 1 clear MISC registers
    base_address: u64
    first_record: u32
    record_count: u32
    not_implemented: u64  # bit set: the record does not exist
    status_reporting: u64  # bit clear: reported by ERRGSR
    addressing_mode: u64  # bit set: ERR<n>ADDR is logical and needs translation


@layout(size=12)
class AestInterrupt(Layout, frozen=True, gc=False):
    """One interrupt of a RAS node."""

    type: u8  # AestInterruptType
    reserved: Octets2
    flags: u8  # bit 0 level sensitive
    gsiv: u32
    iort_id: u8
    reserved_9: Octets3


AestData = AestProcessor | AestMemory | AestSmmu | AestVendor | AestGic | AestPcie | AestProxy
_DATA: Final[dict[int, type[AestData]]] = {
    AestNodeType.PROCESSOR: AestProcessor,
    AestNodeType.MEMORY: AestMemory,
    AestNodeType.SMMU: AestSmmu,
    AestNodeType.VENDOR: AestVendor,
    AestNodeType.GIC: AestGic,
    AestNodeType.PCIE: AestPcie,
    AestNodeType.PROXY: AestProxy,
}


class AestNode(msgspec.Struct, frozen=True, gc=False):
    """One RAS node: its data, its interface, its interrupts, and the node's bytes as they were."""

    head: AestNodeHead
    data: AestData
    interface: AestInterface
    interrupts: tuple[AestInterrupt, ...]
    stored: bytes

    def encode(self) -> bytes:
        """The node's bytes."""
        return self.stored

    @classmethod
    def decode(cls, stored: bytes, base: int) -> Self:
        """A node whose bytes are ``stored``; ``base`` is its offset in the table."""
        head = AestNodeHead.decode(stored)
        if head.type not in _DATA:
            raise Malformed("AestNode", base, f"node type {head.type} is reserved")
        for name in ("data_offset", "interface_offset"):
            if not AEST_NODE_HEAD <= getattr(head, name) <= len(stored):
                raise Malformed("AestNode", base, f"{name} {getattr(head, name)} lies outside the node")
        size = AestInterrupt.codec.size
        if head.interrupt_count and head.interrupt_offset < AEST_NODE_HEAD:
            raise Malformed("AestNode", base, f"interrupt offset {head.interrupt_offset} lies inside the head")
        if head.interrupt_offset + head.interrupt_count * size > len(stored):
            raise Malformed("AestNode", base, f"{head.interrupt_count} interrupts do not fit the node")
        return cls(
            head=head,
            data=_DATA[head.type].decode(stored, head.data_offset),
            interface=AestInterface.decode(stored, head.interface_offset),
            interrupts=tuple(
                AestInterrupt.decode(stored, head.interrupt_offset + size * i) for i in range(head.interrupt_count)
            ),
            stored=stored,
        )


def _check_lies_as_before(node: AestNode, base: int) -> None:
    """Refuse what revision 2 lays out in another way."""
    if isinstance(node.data, AestVendor):
        raise Malformed("AestNode", base, "vendor node of revision 2")
    if node.interface.reserved[0]:
        at = base + node.head.interface_offset + 1
        raise Malformed(
            "AestNode", at, f"group format {node.interface.reserved[0]}: only groups of 4 KiB are read"
        )


def aest_node(data: AestData, interface: AestInterface, interrupts: tuple[AestInterrupt, ...]) -> AestNode:
    """A node from its parts, laid out as data, interface, interrupts; lengths and offsets computed."""
    kind = next(kind for kind, declared in _DATA.items() if type(data) is declared)
    resource = bytes(8) if kind == AestNodeType.PROCESSOR else b""
    interface_at = AEST_NODE_HEAD + data.codec.size + len(resource)
    interrupts_at = interface_at + AestInterface.codec.size
    length = interrupts_at + AestInterrupt.codec.size * len(interrupts)
    head = AestNodeHead(kind, length, 0, AEST_NODE_HEAD, interface_at, interrupts_at, len(interrupts), 0, 0, 0)
    tail = b"".join(interrupt.encode() for interrupt in interrupts)
    stored = head.encode() + data.encode() + resource + interface.encode() + tail
    return AestNode(head, data, interface, interrupts, stored)


class Aest(msgspec.Struct, frozen=True, gc=False):
    """Arm error source table."""

    header: TableHeader
    nodes: tuple[AestNode, ...]

    def encode(self) -> bytes:
        """The table; length and checksum as the header has them."""
        return self.header.encode() + b"".join(node.encode() for node in self.nodes)

    @classmethod
    def decode(cls, source: bytes) -> Self:
        """The table at the start of ``source``; Malformed when a length, offset or count lies."""
        header = table_header(source, b"AEST")
        reader = Reader(source[HEADER_SIZE : header.length], "Aest", base=HEADER_SIZE)
        nodes = []
        while reader.left():
            if reader.left() < AEST_NODE_HEAD:
                raise reader.refuse(f"node needs {AEST_NODE_HEAD} bytes, {reader.left()} are left")
            length = AestNodeHead.decode(reader.source, reader.at).length
            if length < AEST_NODE_HEAD:
                raise reader.refuse(f"node length {length}")
            base = HEADER_SIZE + reader.at
            node = AestNode.decode(reader.take(length, "AEST node"), base)
            if header.revision >= _GROUP_FORMATS_SINCE:
                _check_lies_as_before(node, base)
            nodes.append(node)
        return cls(header, tuple(nodes))

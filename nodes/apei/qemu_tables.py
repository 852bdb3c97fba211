"""HEST and ``etc/hardware_errors`` as QEMU builds them, and the loader script that places them.

For N sources the blob holds N block addresses, N read acks and N blocks of 1 KiB. The table is given to the
guest's firmware with its addresses missing; the script says where they go. Source 0 tells by SEA, 1 by GPIO.

Sources: QEMU hw/acpi/ghes.c acpi_build_hest(), build_ghes_error_table(), build_ghes_v2(), hw/acpi/
bios-linker-loader.c; docs/specs/acpi_hest_ghes.rst; edk2 OvmfPkg/Include/IndustryStandard/QemuLoader.h. What QEMU
7.2.22, 10.0.2 and 11.1 really built is in tests/golden.
"""

import struct
from enum import IntEnum
from typing import Final

import msgspec

from nodes.apei.source import BLOCK_SIZE, READ_ACK_PRESERVE, READ_ACK_WRITE
from nodes.policy import Qemu
from nodes.spec.hest import (
    HEADER_SIZE,
    NO_RELATED_SOURCE,
    AddressSpace,
    GenericAddress,
    GhesV2,
    Hest,
    Notification,
    NotificationType,
    SourceType,
    TableHeader,
    with_checksum,
)

NOTIFICATIONS: Final = (NotificationType.SEA, NotificationType.GPIO)  # by source id
_SLOT: Final = 8  # bytes of a block address, and of a read ack
_FIRST_SOURCE: Final = HEADER_SIZE + 4  # offset of the first source in the table, bytes
_SOURCE_SIZE: Final = GhesV2.codec.size
_STATUS_ADDRESS: Final = 24  # offset of the address in the status register's structure, in a source
_ACK_ADDRESS: Final = 68  # offset of the address in the read ack register's structure, in a source

HARDWARE_ERRORS: Final = "etc/hardware_errors"
HARDWARE_ERRORS_ADDRESS: Final = "etc/hardware_errors_addr"  # told to QEMU before 10.2
HEST_ADDRESS: Final = "etc/acpi_table_hest_addr"  # told to QEMU since 10.2
TABLES: Final = "etc/acpi/tables"


class HardwareErrors(msgspec.Struct, frozen=True):
    """Where everything lies for a blob at ``base``."""

    base: int
    count: int

    def address_slot(self, index: int) -> int:
        """The register that holds the address of block ``index``."""
        return self.base + _SLOT * index

    def ack_slot(self, index: int) -> int:
        """The read ack register of source ``index``."""
        return self.base + _SLOT * (self.count + index)

    def block(self, index: int) -> int:
        """Block ``index``."""
        return self.base + 2 * _SLOT * self.count + BLOCK_SIZE * index

    @property
    def size(self) -> int:
        """Bytes of the blob."""
        return (2 * _SLOT + BLOCK_SIZE) * self.count

    def blob(self, *, loaded: bool = True) -> bytes:
        """The blob: as QEMU gives it (addresses are offsets), or as the loader leaves it."""
        base = self.base if loaded else 0
        addresses = b"".join((self.block(i) - self.base + base).to_bytes(8, "little") for i in range(self.count))
        acks = READ_ACK_WRITE.to_bytes(8, "little") * self.count
        return addresses + acks + bytes(BLOCK_SIZE * self.count)


def _register(address: int) -> bytes:
    return GenericAddress(AddressSpace.SYSTEM_MEMORY, 64, 0, 4, address).encode()


def _source(index: int, status: int, ack: int) -> GhesV2:
    return GhesV2(
        type=SourceType.GHES_V2,
        source_id=index,
        related_source_id=NO_RELATED_SOURCE,
        flags=0,
        enabled=1,
        records_to_preallocate=1,
        max_sections_per_record=1,
        max_raw_data_length=BLOCK_SIZE,
        error_status_address=_register(status),
        notification=Notification(NOTIFICATIONS[index]).encode(),
        error_status_block_length=BLOCK_SIZE,
        read_ack_register=_register(ack),
        read_ack_preserve=READ_ACK_PRESERVE,
        read_ack_write=READ_ACK_WRITE,
    )


def qemu_hest(place: HardwareErrors | None, count: int) -> bytes:
    """QEMU's HEST with ``count`` sources; None: as QEMU gives it, addresses 0 and no checksum."""
    header = TableHeader(
        signature=b"HEST",
        length=_FIRST_SOURCE + _SOURCE_SIZE * count,
        revision=1,
        checksum=0,
        oem_id=b"BOCHS ",
        oem_table_id=b"BXPC    ",
        oem_revision=1,
        creator_id=b"BXPC",
        creator_revision=1,
    )
    sources = tuple(
        _source(i, place.address_slot(i) if place else 0, place.ack_slot(i) if place else 0) for i in range(count)
    )
    table = Hest(header, sources).encode()
    return with_checksum(table) if place else table


class LoaderCommand(IntEnum):
    """What a loader entry asks the firmware to do."""

    ALLOCATE = 1
    ADD_POINTER = 2
    ADD_CHECKSUM = 3
    WRITE_POINTER = 4


class Zone(IntEnum):
    """Where ALLOCATE puts a blob."""

    HIGH = 1
    FSEG = 2


ENTRY_SIZE: Final = 128  # bytes
_NAME: Final = 56  # bytes of a file name
_ALLOCATE: Final = struct.Struct(f"<I{_NAME}sIB")
_POINTER: Final = struct.Struct(f"<I{_NAME}s{_NAME}sIB")
_CHECKSUM: Final = struct.Struct(f"<I{_NAME}sIII")
_WRITE: Final = struct.Struct(f"<I{_NAME}s{_NAME}sIIB")


class Allocate(msgspec.Struct, frozen=True):
    """Download a blob into memory."""

    file: str
    align: int
    zone: Zone

    def encode(self) -> bytes:
        """The entry's bytes."""
        return _ALLOCATE.pack(LoaderCommand.ALLOCATE, self.file.encode(), self.align, self.zone).ljust(
            ENTRY_SIZE, b"\0"
        )


class AddPointer(msgspec.Struct, frozen=True):
    """Add a blob's address to a pointer of ``size`` bytes in another."""

    pointer_file: str
    pointee_file: str
    offset: int
    size: int

    def encode(self) -> bytes:
        """The entry's bytes."""
        return _POINTER.pack(
            LoaderCommand.ADD_POINTER,
            self.pointer_file.encode(),
            self.pointee_file.encode(),
            self.offset,
            self.size,
        ).ljust(ENTRY_SIZE, b"\0")


class AddChecksum(msgspec.Struct, frozen=True):
    """Make a range sum to 0."""

    file: str
    result_offset: int
    start: int
    length: int

    def encode(self) -> bytes:
        """The entry's bytes."""
        return _CHECKSUM.pack(
            LoaderCommand.ADD_CHECKSUM, self.file.encode(), self.result_offset, self.start, self.length
        ).ljust(ENTRY_SIZE, b"\0")


class WritePointer(msgspec.Struct, frozen=True):
    """Tell QEMU where a blob lies, in a file that the guest may write."""

    pointer_file: str
    pointee_file: str
    pointer_offset: int
    pointee_offset: int
    size: int

    def encode(self) -> bytes:
        """The entry's bytes."""
        return _WRITE.pack(
            LoaderCommand.WRITE_POINTER,
            self.pointer_file.encode(),
            self.pointee_file.encode(),
            self.pointer_offset,
            self.pointee_offset,
            self.size,
        ).ljust(ENTRY_SIZE, b"\0")


LoaderEntry = Allocate | AddPointer | AddChecksum | WritePointer


def loader_script(qemu: Qemu, count: int) -> tuple[LoaderEntry, ...]:
    """The entries that concern errors; here the HEST is the only table in its blob."""
    layout = HardwareErrors(0, count)
    script: list[LoaderEntry] = [
        Allocate(TABLES, 64, Zone.HIGH),
        Allocate(HARDWARE_ERRORS, 8, Zone.HIGH),
    ]
    script += [AddPointer(HARDWARE_ERRORS, HARDWARE_ERRORS, layout.address_slot(i), _SLOT) for i in range(count)]
    for i in range(count):
        source = _FIRST_SOURCE + _SOURCE_SIZE * i
        script.append(AddPointer(TABLES, HARDWARE_ERRORS, source + _STATUS_ADDRESS, _SLOT))
        script.append(AddPointer(TABLES, HARDWARE_ERRORS, source + _ACK_ADDRESS, _SLOT))
    script.append(AddChecksum(TABLES, 9, 0, _FIRST_SOURCE + _SOURCE_SIZE * count))
    if qemu is Qemu.V11_1:
        script.append(WritePointer(HEST_ADDRESS, TABLES, 0, 0, _SLOT))
    else:
        script.append(WritePointer(HARDWARE_ERRORS_ADDRESS, HARDWARE_ERRORS, 0, 0, _SLOT))
    return tuple(script)


def fw_cfg_files(count: int) -> dict[str, bytes]:
    """The blobs as QEMU gives them: pointers into a blob hold offsets, others 0.

    The status pointer of source i holds its offset in ``etc/hardware_errors`` and becomes absolute when the blob's
    address is added.
    """
    layout = HardwareErrors(0, count)
    table = bytearray(qemu_hest(None, count))
    for i in range(count):
        source = _FIRST_SOURCE + _SOURCE_SIZE * i
        table[source + _STATUS_ADDRESS : source + _STATUS_ADDRESS + _SLOT] = layout.address_slot(i).to_bytes(
            8, "little"
        )
        table[source + _ACK_ADDRESS : source + _ACK_ADDRESS + _SLOT] = layout.ack_slot(i).to_bytes(8, "little")
    return {TABLES: bytes(table), HARDWARE_ERRORS: layout.blob(loaded=False)}

"""A guest's firmware: it boots, finds QEMU's tables, and tells QEMU where they lie. At error time it does nothing.

Two ways. The contract: run the table loader script of fw_cfg, in order; any failure undoes everything, even the
pointers already told to QEMU. By MM_COMMUNICATE: a DXE driver asks QEMU where its buffer is and builds the HEST
itself.

Sources: edk2 OvmfPkg/Library/AcpiPlatformLib/QemuFwCfgAcpi.c, OvmfPkg/Include/IndustryStandard/QemuLoader.h;
MdePkg/Include/Protocol/MmCommunication2.h for the alternative; QEMU hw/acpi/bios-linker-loader.c.
"""

from typing import Final

import msgspec

from nodes.apei.qemu_tables import (
    HARDWARE_ERRORS,
    HARDWARE_ERRORS_ADDRESS,
    HEST_ADDRESS,
    TABLES,
    AddChecksum,
    AddPointer,
    Allocate,
    HardwareErrors,
    LoaderEntry,
    WritePointer,
    qemu_hest,
)

ALLOCATE_TOP: Final = 0x7C00_0000  # blobs are placed downwards from here (guest physical); assumed
_PAGE: Final = 4096  # bytes; EFI allocates pages
_POINTER_SIZES: Final = (1, 2, 4, 8)  # bytes
_TOLD_SIZE: Final = 8  # bytes of each file that takes a pointer back to QEMU


class LoaderError(ValueError):
    """The script asks for what cannot be done."""


class Booted(msgspec.Struct, frozen=True):
    """What the firmware leaves behind."""

    blobs: dict[str, bytes]  # as they lie in memory
    addresses: dict[str, int]  # guest physical
    told: dict[str, bytes]  # files written back to QEMU

    @property
    def hest(self) -> int:
        """Guest physical address of the HEST; 0: the guest has none."""
        return self.addresses.get(TABLES, 0)

    @property
    def knows_errors(self) -> bool:
        """Whether QEMU was told where its records go; without it no record can be given to the guest."""
        return any(int.from_bytes(value, "little") for value in self.told.values())


NO_FIRMWARE: Final = Booted(blobs={}, addresses={}, told={})


class _Loader:
    """One run of a script."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.blobs: dict[str, bytearray] = {}
        self.addresses: dict[str, int] = {}
        self.told: dict[str, bytearray] = {}
        self.top = ALLOCATE_TOP

    def run(self, entry: LoaderEntry) -> None:
        match entry:
            case Allocate():
                self._allocate(entry)
            case AddPointer():
                self._add_pointer(entry)
            case AddChecksum():
                blob = self._blob(entry.file, entry.result_offset, 1)
                blob[entry.result_offset] = 0
                total = sum(self._blob(entry.file, entry.start, entry.length)[entry.start :][: entry.length])
                blob[entry.result_offset] = -total & 0xFF
            case WritePointer():
                self._write_pointer(entry)

    def _allocate(self, entry: Allocate) -> None:
        if entry.file in self.blobs or entry.file not in self.files:
            raise LoaderError(f"ALLOCATE {entry.file}")
        if entry.align & entry.align - 1 or entry.align > _PAGE:
            raise LoaderError(f"ALLOCATE {entry.file}: alignment {entry.align}")
        content = self.files[entry.file]
        self.top -= -(-len(content) // _PAGE) * _PAGE
        self.blobs[entry.file] = bytearray(content)
        self.addresses[entry.file] = self.top

    def _blob(self, name: str, offset: int, size: int) -> bytearray:
        blob = self.blobs.get(name)
        if blob is None or not 0 <= offset <= len(blob) - size:
            raise LoaderError(f"{name}: {size} bytes at {offset}")
        return blob

    def _pointer(self, pointee_file: str, offset: int, size: int) -> bytes:
        """The address of ``offset`` in a blob, as a pointer of ``size`` bytes."""
        blob = self.blobs.get(pointee_file)
        if blob is None or size not in _POINTER_SIZES or offset >= len(blob):
            raise LoaderError(f"pointer of {size} bytes to {pointee_file} at {offset}")
        address = self.addresses[pointee_file] + offset
        if address >> 8 * size:
            raise LoaderError(f"{address:#x} does not fit into {size} bytes")
        return address.to_bytes(size, "little")

    def _add_pointer(self, entry: AddPointer) -> None:
        blob = self._blob(entry.pointer_file, entry.offset, entry.size)
        place = slice(entry.offset, entry.offset + entry.size)
        offset = int.from_bytes(blob[place], "little")
        blob[place] = self._pointer(entry.pointee_file, offset, entry.size)

    def _write_pointer(self, entry: WritePointer) -> None:
        if not 0 <= entry.pointer_offset <= _TOLD_SIZE - entry.size:
            raise LoaderError(f"WRITE_POINTER: {entry.size} bytes at {entry.pointer_offset}")
        pointer = self._pointer(entry.pointee_file, entry.pointee_offset, entry.size)
        told = self.told.setdefault(entry.pointer_file, bytearray(_TOLD_SIZE))
        told[entry.pointer_offset : entry.pointer_offset + entry.size] = pointer


def run_loader(files: dict[str, bytes], script: tuple[LoaderEntry, ...]) -> Booted:
    """Run the script over the files; a failure leaves nothing behind, and what was told to QEMU is 0 again."""
    loader = _Loader(files)
    try:
        for entry in script:
            loader.run(entry)
    except LoaderError:
        return Booted(blobs={}, addresses={}, told={name: bytes(_TOLD_SIZE) for name in loader.told})
    return Booted(
        blobs={name: bytes(blob) for name, blob in loader.blobs.items()},
        addresses=loader.addresses,
        told={name: bytes(value) for name, value in loader.told.items()},
    )


def ask_by_mm(buffer: int | None, count: int) -> Booted:
    """The DXE driver got the buffer's address from QEMU (None: the call was refused) and builds the HEST."""
    if buffer is None:
        return NO_FIRMWARE
    place = HardwareErrors(buffer, count)
    table = qemu_hest(place, count)
    hest = buffer - _PAGE
    return Booted(
        blobs={TABLES: table, HARDWARE_ERRORS: place.blob()},
        addresses={TABLES: hest, HARDWARE_ERRORS: buffer},
        told={HEST_ADDRESS: hest.to_bytes(8, "little"), HARDWARE_ERRORS_ADDRESS: buffer.to_bytes(8, "little")},
    )

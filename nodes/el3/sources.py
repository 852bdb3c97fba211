"""The error sources of the simulated host's firmware: which component tells by which notification.

Where the switch says SEA, a component has two sources: one that tells of what a PE met itself, and a twin that
tells of the rest by GSIV.

Sources: ACPI 6.5 18.3.2.8, 18.3.2.9 (notification structure); SDEI events as Neoverse RD uses them.
"""

from typing import Final

from nodes.apei.source import HOST_BLOCK_SIZE, READ_ACK_PRESERVE, READ_ACK_WRITE, SourceKind
from nodes.el3.sdei import MEMORY_EVENT, PCIE_EVENT, PROCESSOR_EVENT
from nodes.policy import NotificationSwitch
from nodes.spec.hest import (
    HEADER_SIZE,
    NO_RELATED_SOURCE,
    AddressSpace,
    ConfigWrite,
    GenericAddress,
    GhesV2,
    Hest,
    Notification,
    NotificationType,
    SourceType,
    TableHeader,
    with_checksum,
)

POLL_INTERVAL_MS: Final = 1000
_SDEI: Final = (MEMORY_EVENT, PROCESSOR_EVENT, PCIE_EVENT)  # by component: memory, processor, PCIe
_GSIV: Final = (160, 161, 162)  # interrupts to the operating system, by component; assumed
_COMPONENTS: Final = len(_SDEI)
_TYPES: Final = {
    NotificationSwitch.SDEI: NotificationType.SDEI,
    NotificationSwitch.SEA: NotificationType.SEA,
    NotificationSwitch.GSIV: NotificationType.GSIV,
    NotificationSwitch.GPIO: NotificationType.GPIO,
    NotificationSwitch.POLLED: NotificationType.POLLED,
}


def _vector(notification: NotificationType, component: int) -> int:
    if notification is NotificationType.SDEI:
        return _SDEI[component]
    return _GSIV[component] if notification is NotificationType.GSIV else 0


def source_kinds(switch: NotificationSwitch) -> tuple[SourceKind, ...]:
    """The sources of a host, by id: memory, processor, PCIe, and for SEA the twins of these."""
    kinds = [_TYPES[switch]] * _COMPONENTS
    if switch is NotificationSwitch.SEA:
        kinds[_COMPONENTS - 1] = NotificationType.GSIV  # no PE meets a PCIe error in an abort
        kinds += [NotificationType.GSIV] * _COMPONENTS
    return tuple(
        SourceKind(index, kind, _vector(kind, index % _COMPONENTS), HOST_BLOCK_SIZE)
        for index, kind in enumerate(kinds)
    )


def host_hest(switch: NotificationSwitch, base: int) -> bytes:
    """The HEST that the host's firmware installs; ``base``: address of the first block address register."""
    sources = source_kinds(switch)
    entries = tuple(
        GhesV2(
            type=SourceType.GHES_V2,
            source_id=source.source_id,
            related_source_id=NO_RELATED_SOURCE,
            flags=0,
            enabled=1,
            records_to_preallocate=1,
            max_sections_per_record=1,
            max_raw_data_length=source.block_size,
            error_status_address=_register(base + 8 * source.source_id),
            notification=Notification(
                source.notification,
                config_write_enable=int(ConfigWrite.POLL_INTERVAL)
                if source.notification is NotificationType.POLLED
                else 0,
                poll_interval_ms=POLL_INTERVAL_MS if source.notification is NotificationType.POLLED else 0,
                vector=source.vector,
            ).encode(),
            error_status_block_length=source.block_size,
            read_ack_register=_register(base + 8 * (len(sources) + source.source_id)),
            read_ack_preserve=READ_ACK_PRESERVE,
            read_ack_write=READ_ACK_WRITE,
        )
        for source in sources
    )
    length = HEADER_SIZE + 4 + GhesV2.codec.size * len(entries)
    header = TableHeader(b"HEST", length, 1, 0, b"RASFLT", b"RASFLEET", 1, b"RASF", 1)
    return with_checksum(Hest(header, entries).encode())


def _register(address: int) -> bytes:
    return GenericAddress(AddressSpace.SYSTEM_MEMORY, 64, 0, 4, address).encode()

"""Records as bytes: the topic of status blocks."""

from nodes.events.head import CPER, NO_GUEST, Event, Level


class StatusBlockWritten(Event, frozen=True, gc=False, array_like=True, tag=40):
    """Firmware left a status block for an operating system to read."""

    topic = CPER

    written_by: int  # Level: EL3 for the host, VMM for a guest
    source_id: int  # error source, ACPI HEST
    notification: int  # nodes.spec.hest.NotificationType
    block: bytes  # Generic Error Status Block
    guest: int = NO_GUEST


class BootErrorFound(Event, frozen=True, gc=False, array_like=True, tag=41):
    """After a reset, firmware left what the error records still held in the boot error region (BERT)."""

    topic = CPER
    level = Level.EL3

    block: bytes

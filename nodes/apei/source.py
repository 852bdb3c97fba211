"""One error source as both sides see it: the block in memory, its status word, the read ack register.

Firmware writes, the operating system reads and gives back. The producer's rule (an unacknowledged block is never
overwritten) is QEMU's; ACPI itself only says what the operating system writes. GHESv1 has no read ack: there a
block is free when its status word is 0.

Sources: ACPI 6.5 18.3.2.7, 18.3.2.8; QEMU hw/acpi/ghes.c ghes_record_cper_errors(); Linux
drivers/acpi/apei/ghes.c ghes_ack_error(), ghes_clear_estatus().
"""

from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from nodes.ledger import Account
from nodes.spec.hest import NotificationType

READ_ACK_PRESERVE: Final = 0xFFFF_FFFF_FFFF_FFFE
READ_ACK_WRITE: Final = 1
BLOCK_SIZE: Final = 1024  # bytes; QEMU's ACPI_GHES_MAX_RAW_DATA_LENGTH
HOST_BLOCK_SIZE: Final = 4096  # bytes, of the simulated host's firmware


class Written(Enum):
    """What became of a block that firmware wanted to write."""

    WRITTEN = "it stands in memory"
    NOT_ACKNOWLEDGED = "the block before it is unread"
    TOO_LARGE = "it does not fit"


LOST_AS: Final = {
    Written.NOT_ACKNOWLEDGED: Account.LOST_SLOT_NOT_ACKNOWLEDGED,
    Written.TOO_LARGE: Account.LOST_BLOCK_TOO_LARGE,
}


class SourceKind(NamedTuple):
    """What the HEST says of a source; shared between hosts, or guests, that are alike."""

    source_id: int
    notification: NotificationType
    vector: int = 0  # SDEI event or GSIV
    block_size: int = BLOCK_SIZE  # bytes


class ErrorSource:
    """A GHESv2 in memory. ``carried``: occurrences behind the block that stands there."""

    __slots__ = ("block", "carried", "kind", "read_ack")

    def __init__(self, kind: SourceKind) -> None:
        self.kind = kind
        self.block = b""  # empty: its status word is 0
        self.read_ack = READ_ACK_WRITE
        self.carried = 0

    def write(self, block: bytes, carried: int) -> Written:
        """Firmware leaves a block. The whole read ack word is tested, as QEMU does."""
        if len(block) > self.kind.block_size:
            return Written.TOO_LARGE
        if not self.read_ack:
            return Written.NOT_ACKNOWLEDGED
        assert not self.carried, "an acknowledged block was taken over by its reader"
        self.read_ack = 0
        self.block = block
        self.carried = carried
        return Written.WRITTEN

    def clear(self) -> None:
        """The operating system sets the status word to 0 and writes the read ack."""
        self.block = b""
        self.read_ack = self.read_ack & READ_ACK_PRESERVE | READ_ACK_WRITE

    def take_carried(self) -> int:
        """What the block carries goes over to its reader."""
        carried, self.carried = self.carried, 0
        return carried


class Sources:
    """The error sources of one HEST, each made when it is first used."""

    __slots__ = ("kinds", "made")

    def __init__(self, kinds: tuple[SourceKind, ...]) -> None:
        self.kinds = kinds  # shared, by id
        self.made: tuple[ErrorSource, ...] = ()

    def source(self, source_id: int) -> ErrorSource | None:
        """A source; None where the table has no such id."""
        for source in self.made:
            if source.kind.source_id == source_id:
                return source
        for kind in self.kinds:
            if kind.source_id == source_id:
                source = ErrorSource(kind)
                self.made = (*self.made, source)
                return source
        return None

    def with_notification(self, *notifications: NotificationType) -> Iterator[ErrorSource]:
        """The used sources that tell in one of these ways, by id."""
        for source in sorted(self.made, key=lambda source: source.kind.source_id):
            if source.kind.notification in notifications:
                yield source

    def initialise(self) -> int:
        """Firmware sets every source up at boot: no block, acknowledged. Returns what the blocks carried."""
        carried = self.carried()
        self.made = ()
        return carried

    def carried(self) -> int:
        """Occurrences behind blocks; for the accounting check."""
        return sum(source.carried for source in self.made)

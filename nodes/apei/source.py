"""One error source as both sides see it: the block in memory, its status word, the read ack register.

Firmware writes, the operating system reads and gives back. The producer's rule (an unacknowledged block is never
overwritten) is QEMU's; ACPI itself only says what the operating system writes. GHESv1 has no read ack: there a
block is free when its status word is 0.

Sources: ACPI 6.5 18.3.2.7, 18.3.2.8; QEMU hw/acpi/ghes.c ghes_record_cper_errors(); Linux
drivers/acpi/apei/ghes.c ghes_ack_error(), ghes_clear_estatus().
"""

from enum import Enum
from typing import Final

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


class ErrorSource:
    """A GHESv2 in memory. ``carried``: occurrences behind the block that stands there."""

    __slots__ = ("block", "block_size", "carried", "notification", "read_ack", "source_id", "vector")

    def __init__(
        self, source_id: int, notification: NotificationType, *, vector: int = 0, block_size: int = BLOCK_SIZE
    ) -> None:
        self.source_id = source_id
        self.notification = notification
        self.vector = vector  # SDEI event or GSIV
        self.block_size = block_size  # bytes
        self.block = b""  # empty: its status word is 0
        self.read_ack = READ_ACK_WRITE
        self.carried = 0

    def write(self, block: bytes, carried: int) -> Written:
        """Firmware leaves a block. The whole read ack word is tested, as QEMU does."""
        if len(block) > self.block_size:
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

    def initialise(self) -> None:
        """Firmware sets the source up at boot: no block, acknowledged."""
        self.block = b""
        self.read_ack = READ_ACK_WRITE

"""QEMU: for its guest it is the firmware that writes records.

A SIGBUS for action required becomes a status block in the guest's memory and a synchronous external abort; one
for action optional only puts the page on a list. A guest that left the block before unread costs the whole VM.

Sources: QEMU target/arm/kvm.c kvm_arch_on_sigbus_vcpu(), hw/acpi/ghes.c acpi_ghes_memory_errors(),
ghes_record_cper_errors(); accel/kvm/kvm-all.c, softmmu/cpus.c (SIGBUS slot); qapi/acpi-hest.json.
"""

import struct
from typing import Final, Protocol

from nodes.apei.qemu_tables import NOTIFICATIONS
from nodes.apei.source import LOST_AS, ErrorSource, SourceKind, Sources, Written
from nodes.events import (
    Event,
    Level,
    OsNotified,
    PoisonNoted,
    RecordLost,
    SignalCode,
    StatusBlockWritten,
    VmExited,
)
from nodes.hypervisor.versions import QemuBehaviour
from nodes.ledger import Account, Ledger
from nodes.policy import RecordDelivery
from nodes.spec.guid import NIL
from nodes.spec.memory_sections import MEMORY_GUID, MEMORY_SIZE, VALID_PA, VALID_TYPE
from nodes.spec.mm import HEADER_SIZE, MmReturn, is_supported
from nodes.spec.status_block import ENTRY_REVISION, ENTRY_SIZE, DataEntryHead, StatusBlockHead

SEA_SOURCE: Final = 0
QMP_SOURCE: Final = 1
_KINDS: Final = tuple(SourceKind(i, notification) for i, notification in enumerate(NOTIFICATIONS))
SOURCE_KINDS: Final = tuple(_KINDS[:count] for count in range(len(_KINDS) + 1))  # index: how many sources
_BLOCK: Final = struct.Struct(StatusBlockHead.codec.format + DataEntryHead.codec.format[1:] + "QQQ56x")
_HARDWARE_ERROR: Final = "Hardware memory error!: exit(1)"
Waiting = tuple[int, bytes]  # source id, block
_ANOTHER_CODE: Final = "SIGBUS with another code: raised again"
# On demand: a design without a slot for each source, so without a bound of its own. A guest that never asks must
# not fill its VMM's memory; a further block is refused, and a call that comes then returns NO_MEMORY.
QUEUE_MAX: Final = 4096  # blocks
BUFFER_SIZE: Final = 4096  # bytes of the communication buffer, a page; assumed


def memory_block(address: int) -> bytes:
    """The block that QEMU writes for a guest physical address: 172 bytes, entry count 0, error type 0."""
    return _BLOCK.pack(
        1,  # uncorrectable error valid; QEMU leaves the entry count 0
        0,
        0,
        ENTRY_SIZE + MEMORY_SIZE,
        0,  # recoverable
        MEMORY_GUID,
        0,
        ENTRY_REVISION,
        0,
        0,
        MEMORY_SIZE,
        NIL,
        bytes(20),
        bytes(8),
        VALID_PA | VALID_TYPE,
        0,
        address,
    )


class Neighbours(Protocol):
    """What a VMM asks of KVM and of its guest."""

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""

    @property
    def ledger(self) -> Ledger:
        """The guests' ledger."""

    @property
    def qemu(self) -> QemuBehaviour:
        """What this version does."""

    @property
    def record_delivery(self) -> RecordDelivery:
        """How a guest's kernel gets at a record."""

    def guest_takes_vmm_abort(self, guest: int, *, recorded: bool) -> None:
        """The guest takes an abort whose registers the VMM wrote; on demand its record may have found no room."""

    def notify_guest(self, guest: int, source: ErrorSource) -> None:
        """The guest's kernel is notified of a source by an interrupt."""

    def vm_exited(self, guest: int) -> None:
        """The VM's process ended."""


class Vmm:
    """The VMM of one guest."""

    __slots__ = ("ask", "busy", "guest", "has_ghes", "queue", "refused", "sources")

    def __init__(self, ask: Neighbours, guest: int, *, has_ghes: bool) -> None:
        self.ask = ask
        self.guest = guest
        self.has_ghes = has_ghes  # the guest's firmware told where its records go
        self.busy = False  # a SIGBUS of the vCPU thread is not handled yet
        self.sources = Sources(SOURCE_KINDS[ask.qemu.source_count])
        self.queue: tuple[Waiting, ...] = ()  # on demand: what the guest has not asked for, one error each
        self.refused = False  # a record found no room in the queue, and the next call says so

    def sigbus(self, address: int | None, code: int) -> None:
        """The SIGBUS handler; ``address``: guest physical one of the page, None where it is not the guest's RAM.

        Only a page of a guest that told where its records go, or that has to ask for them, is noted, and only
        action required becomes a record.
        """
        required = code == SignalCode.BUS_MCEERR_AR
        if not required and code != SignalCode.BUS_MCEERR_AO:
            self.exit(_ANOTHER_CODE)
        elif address is not None and (self.has_ghes or self._on_demand()):
            self.ask.publish(PoisonNoted, self.guest, address)
            if required:
                self._record(address)
        elif required:
            self.ask.ledger.inject()
            self.ask.ledger.move(1, Account.IN_FLIGHT, Account.LOST_GUEST_GONE)
            self.exit(_HARDWARE_ERROR)

    def _record(self, address: int) -> None:
        self.ask.ledger.inject()
        block = memory_block(address)
        recorded = True
        if self._on_demand():
            recorded = self._enqueue(SEA_SOURCE, block)
        else:
            source = self.sources.source(SEA_SOURCE)
            assert source is not None, "every QEMU has the SEA source"
            written = source.write(block, 1)
            if written is not Written.WRITTEN:
                self._lose(SEA_SOURCE, LOST_AS[written])
                self.exit(self.ask.qemu.exit_text)
                return
            self.ask.publish(
                StatusBlockWritten, Level.VMM, SEA_SOURCE, NOTIFICATIONS[SEA_SOURCE], block, self.guest
            )
        self.ask.publish(OsNotified, Level.VMM, SEA_SOURCE, NOTIFICATIONS[SEA_SOURCE], 0, self.guest)
        self.ask.guest_takes_vmm_abort(self.guest, recorded=recorded)

    def _on_demand(self) -> bool:
        return self.ask.record_delivery is RecordDelivery.ON_DEMAND

    def _enqueue(self, source_id: int, block: bytes) -> bool:
        if len(self.queue) >= QUEUE_MAX:
            self.refused = True
            self._lose(source_id, Account.LOST_CALL_NO_MEMORY)
            return False
        self.queue = (*self.queue, (source_id, block))
        self.ask.publish(StatusBlockWritten, Level.VMM, source_id, NOTIFICATIONS[source_id], block, self.guest)
        return True

    @property
    def answers_calls(self) -> bool:
        """On demand: whether the guest has firmware that it can call, and that works with this MM partition."""
        return self.has_ghes and is_supported(self.ask.qemu.mm_version)

    def answer(self) -> tuple[MmReturn, tuple[Waiting, ...]]:
        """MM_COMMUNICATE: what waits, as much as the buffer holds; the guest calls again for the rest.

        A record that no buffer holds, and one that found no room before, end the call with an error of its own.
        """
        if self.refused:
            self.refused = False
            return MmReturn.NO_MEMORY, ()
        fits, size = 0, HEADER_SIZE
        for _, block in self.queue:
            size += len(block)
            if size > BUFFER_SIZE:
                break
            fits += 1
        if self.queue and not fits:
            self._lose(self.queue[0][0], Account.LOST_BLOCK_TOO_LARGE)
            self.queue = self.queue[1:]
            return MmReturn.INVALID_PARAMETER, ()
        answered, self.queue = self.queue[:fits], self.queue[fits:]
        return MmReturn.SUCCESS, answered

    def withdraw_newest(self) -> int:
        """On demand: the newest record will never be asked for; returns its source."""
        *rest, (source_id, _) = self.queue
        self.queue = tuple(rest)
        return source_id

    def inject(self, block: bytes) -> bool:
        """QMP inject-ghes-v2-error: False when the record is dropped. Without GHES it reports success in vain."""
        self.ask.ledger.inject()
        source = self.sources.source(QMP_SOURCE)
        if not self.ask.qemu.injects or source is None or not self.has_ghes:
            self._lose(QMP_SOURCE, Account.LOST_NO_SOURCE)
            return self.ask.qemu.injects and not self.has_ghes
        notification = NOTIFICATIONS[QMP_SOURCE]
        if self._on_demand():
            if not self._enqueue(QMP_SOURCE, block):
                return False
        else:
            written = source.write(block, 1)
            if written is not Written.WRITTEN:
                self._lose(QMP_SOURCE, LOST_AS[written])
                return False
            self.ask.publish(StatusBlockWritten, Level.VMM, QMP_SOURCE, notification, block, self.guest)
        self.ask.publish(OsNotified, Level.VMM, QMP_SOURCE, notification, 0, self.guest)
        self.ask.notify_guest(self.guest, source)
        return True

    def _lose(self, source_id: int, account: Account) -> None:
        self.ask.ledger.move(1, Account.IN_FLIGHT, account)
        self.ask.publish(RecordLost, Level.VMM, source_id, account, self.guest)

    def exit(self, reason: str) -> None:
        """The process ends, and with it the guest."""
        self.announce_exit(reason)
        self.ask.vm_exited(self.guest)

    def announce_exit(self, reason: str) -> None:
        """Say that the process ended."""
        self.ask.publish(VmExited, self.guest, reason)

    def reset(self, *, keeps_blocks: bool) -> int:
        """System reset: poisoned pages are mapped anew; the blob is downloaded again, so acks are 1 again.

        Where the firmware only asks for a buffer's address (``keeps_blocks``), what stands there stays. Returns
        what was carried by what is gone.
        """
        self.busy = False
        carried = len(self.queue)
        self.queue, self.refused = (), False
        if not keeps_blocks:
            carried += self.sources.initialise()
        return carried

    def drop(self) -> int:
        """The VM is gone: returns what was carried."""
        return self.reset(keeps_blocks=False)

    def carried(self) -> int:
        """Occurrences in blocks and in the queue; for the accounting check."""
        return self.sources.carried() + len(self.queue)

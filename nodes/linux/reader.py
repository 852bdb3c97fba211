"""Linux's reader of error sources: the same code in the host's kernel and in a guest's.

Two ways in. IRQ-like sources (polled, GSIV, GPIO) are processed where they are read. NMI-like ones (SEA, SDEI)
are copied into a pool, cleared and acknowledged, and processed in irq_work; a block that was printed within the
last 10 s is dropped there. Printing is limited, processing is not. One kind of block hangs the kernel: it stays
where it is, unacknowledged.

Sources: Linux drivers/acpi/apei/ghes.c (ghes_proc(), ghes_in_nmi_queue_one_entry(), ghes_proc_in_irq(),
ghes_do_proc(), ghes_print_estatus(), ghes_estatus_cached(), ghes_estatus_cache_add()) of 6.1.192 and 6.12.117.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from nodes.apei.source import ErrorSource
from nodes.events import RecordLogged, RecordLost, RecordRead
from nodes.ledger import Account
from nodes.linux.estatus import Entry, walk
from nodes.spec.hest import NotificationType
from nodes.spec.layout import Malformed
from nodes.spec.severity import GhesSeverity, ghes_severity
from nodes.spec.status_block import ENTRY_SIZE_OLD, HEAD_SIZE, StatusBlockHead

if TYPE_CHECKING:
    from nodes.linux.kernel import LinuxKernel

CACHE_SIZE: Final = 4  # GHES_ESTATUS_CACHES_SIZE
CACHE_TIME_NS: Final = 10_000_000_000  # GHES_ESTATUS_IN_CACHE_MAX_NSEC
PRINT_INTERVAL_NS: Final = 5_000_000_000  # not more than 2 messages every 5 seconds, for each class
PRINT_BURST: Final = 2
POOL_CACHE_BYTES: Final = 512 * 6  # GHES_ESTATUS_CACHE_AVG_SIZE * GHES_ESTATUS_CACHE_ALLOCED_MAX
POOL_SOURCE_BYTES: Final = 65536  # GHES_ESOURCE_PREALLOC_MAX_SIZE
NODE_HEAD: Final = 48  # bytes: struct ghes_estatus_node on arm64
_HEADS_KEPT: Final = 1024  # kinds of heads whose check is remembered
_U32: Final = 0xFFFF_FFFF
_ENDLESS: Final = "endless"  # how walk() ends its word on a block from which Linux never comes back
_FREE: Final = (b"", bytes(4))  # block status of a block that is not there: neither cleared nor acknowledged
_PAGE: Final = 4096  # bytes; the pool is page aligned
ENOENT: Final = 2
EIO: Final = 5
ENOMEM: Final = 12
ECANCELED: Final = 125

PANIC_TEXT: Final = "GHES: Fatal hardware error"

NO_CACHE: Final = (None,) * CACHE_SIZE  # of a fresh reader, as the next; shared
NO_LIMITS: Final = (-PRINT_INTERVAL_NS - 1, 0) * 2


class Cached(NamedTuple):
    """A block that was printed not long ago."""

    digest: bytes  # of the whole block
    since_ns: int
    hits: int


class Head(NamedTuple):
    """What the kernel takes from a block's head."""

    length: int  # bytes that it copies
    entries_end: int  # bytes up to the end of the data entries
    severity: int  # of the block, as written


class Copied(NamedTuple):
    """A block that the kernel has copied and accepted."""

    source: ErrorSource
    block: bytes
    digest: bytes  # by which the cache remembers it
    severity: int
    entries: Sequence[Entry]
    carried: int


class GhesReader:
    """The reader of one kernel."""

    __slots__ = ("cache", "kernel", "limits", "pool_used", "queue")

    def __init__(self, kernel: "LinuxKernel") -> None:
        self.kernel = kernel
        self.pool_used = 0  # bytes
        self.queue: tuple[Copied, ...] = ()  # in the pool, waiting for irq_work
        self.cache: tuple[Cached | None, ...] = NO_CACHE
        self.limits = NO_LIMITS  # corrected: interval's begin (ns) and lines printed since; uncorrected: the same

    @property
    def pool_size(self) -> int:
        """Bytes of the pool, whole pages."""
        return -(-(POOL_CACHE_BYTES + POOL_SOURCE_BYTES * self.kernel.config.source_count) // _PAGE) * _PAGE

    def proc(self, source: ErrorSource) -> int:
        """ghes_proc(): read, print, process, clear and acknowledge. 0, or a negative error."""
        if source.block[:4] in _FREE:
            return -ENOENT
        head = _head(source)
        if head is None:
            return self._refuse(source)
        copied = self._copied(source, head)
        if copied is None:
            return -EIO
        if ghes_severity(copied.severity) is GhesSeverity.PANIC:
            self._fatal(copied)
            return 0
        printed = self._print(copied)
        source.clear()
        self._log(copied, printed=printed)
        self._process(copied)
        return 0

    def nmi(self, source: ErrorSource) -> int:
        """ghes_in_nmi_queue_one_entry(): copy into the pool, clear and acknowledge. 0, or a negative error.

        With the pool empty the block is neither cleared nor acknowledged: the source is stuck until memory is
        freed and it is read again.
        """
        if source.block[:4] in _FREE:
            return -ENOENT
        head = _head(source)
        if head is None:
            return self._refuse(source)
        if NODE_HEAD + head.length > self.pool_size - self.pool_used:
            self._lost(source, Account.LOST_POOL_EMPTY)
            return -ENOMEM
        copied = self._copied(source, head)
        if copied is None:
            return -ENOENT
        if ghes_severity(copied.severity) is GhesSeverity.PANIC:
            for queued in self.queue:
                self._log(queued, printed=self._print_allowed(queued.severity))
            self._fatal(copied)
            return 0
        source.clear()
        if self._cached(copied.digest):
            self.kernel.ledger.move(copied.carried, Account.IN_FLIGHT, Account.COALESCED)
            self._lost(source, Account.COALESCED)
            return -ECANCELED if self.kernel.behaviour.cancels_duplicate_sea and _is_sync(source) else 0
        self.pool_used += NODE_HEAD + len(copied.block)
        self.queue = (*self.queue, copied)
        return 0

    def irq_work(self) -> None:
        """ghes_proc_in_irq(): process what was queued, then print it where the limits allow."""
        waiting, self.queue = self.queue, ()
        for copied in waiting:
            self._process(copied)
            self._log(copied, printed=self._print(copied))
            self.pool_used -= NODE_HEAD + len(copied.block)

    def _copied(self, source: ErrorSource, head: Head) -> Copied | None:
        """Copy a block and walk its entries; None when Linux refuses it, or never comes back from it."""
        block = source.block
        if len(block) != head.length:
            # What lies behind the copied bytes is whatever the buffer held before: here zeros, up to its size.
            size = min(max(head.length, head.entries_end), source.kind.block_size)
            block = block[: head.length].ljust(size, b"\0")
        try:
            entries = walk(block)
        except Malformed as fault:
            if fault.reason.endswith(_ENDLESS):
                self.kernel.hang()
            else:
                self._refuse(source)
            return None
        kernel, source_id = self.kernel, source.kind.source_id
        kernel.ask.publish(RecordRead, kernel.level, source_id, head.severity, len(entries), kernel.guest)
        return Copied(source, block, _digest(block[: head.length]), head.severity, entries, source.take_carried())

    def _refuse(self, source: ErrorSource) -> int:
        """A refused block is cleared and acknowledged all the same: its record is lost."""
        self.kernel.ledger.move(source.take_carried(), Account.IN_FLIGHT, Account.LOST_BLOCK_MALFORMED)
        source.clear()
        self._lost(source, Account.LOST_BLOCK_MALFORMED)
        return -EIO

    def _fatal(self, copied: Copied) -> None:
        """__ghes_panic(): printed whatever the limits say, cleared and acknowledged; nothing is processed."""
        copied.source.clear()
        self._log(copied, printed=True)
        self.kernel.fatal_record(copied.carried)

    def _process(self, copied: Copied) -> None:
        source, block, _, severity, entries, carried = copied
        self.kernel.process_sections(block, severity, entries, carried, synchronous=_is_sync(source))

    def _log(self, copied: Copied, *, printed: bool) -> None:
        kernel, source_id = self.kernel, copied.source.kind.source_id
        kernel.ask.publish(RecordLogged, kernel.level, source_id, copied.severity, int(printed), kernel.guest)

    def _lost(self, source: ErrorSource, account: Account) -> None:
        kernel = self.kernel
        kernel.ask.publish(RecordLost, kernel.level, source.kind.source_id, account, kernel.guest)

    def _print(self, copied: Copied) -> bool:
        """Print a block unless it was printed just now or the limit is reached; what is printed is cached."""
        if self._cached(copied.digest) or not self._print_allowed(copied.severity):
            return False
        self._cache_add(copied.digest)
        return True

    def _print_allowed(self, severity: int) -> bool:
        """The print limit: one for corrected and informational records, one for the rest."""
        is_corrected = ghes_severity(severity) <= GhesSeverity.CORRECTED
        corrected, uncorrected = self.limits[:2], self.limits[2:]
        began_ns, printed = corrected if is_corrected else uncorrected
        now = self.kernel.ask.now
        if now > began_ns + PRINT_INTERVAL_NS:
            began_ns, printed = now, 0
        if printed >= PRINT_BURST:
            return False
        limit = (began_ns, printed + 1)
        self.limits = limit + uncorrected if is_corrected else corrected + limit
        return True

    def _cached(self, digest: bytes) -> bool:
        """Whether the identical block, timestamps included, was printed within the last 10 s."""
        for index, cached in enumerate(self.cache):
            if cached is not None and cached.digest == digest:
                self._replace(index, Cached(digest, cached.since_ns, cached.hits + 1))
                return self.kernel.ask.now - cached.since_ns < CACHE_TIME_NS
        return False

    def _replace(self, index: int, cached: Cached) -> None:
        self.cache = (*self.cache[:index], cached, *self.cache[index + 1 :])

    def _cache_add(self, digest: bytes) -> None:
        """Keep a printed block: in a free place, an expired one, or that of the least frequent block.

        An expired block stays in its place until then, as in the kernel; here it holds no pool memory.
        """
        now = self.kernel.ask.now
        place, longest = -1, 0
        for index, cached in enumerate(self.cache):
            if cached is None or now - cached.since_ns >= CACHE_TIME_NS:
                place = index
                break
            period = (now - cached.since_ns) // (cached.hits + 1)
            if period > longest:
                place, longest = index, period
        if place >= 0:
            self._replace(place, Cached(digest, now, 0))

    def carried(self) -> int:
        """Occurrences in the pool; for the accounting check."""
        return sum(queued.carried for queued in self.queue)


def _head(source: ErrorSource) -> Head | None:
    """__ghes_check_estatus(): None for a length below the head's or beyond the source's block, or a bad head."""
    return _checked(source.block[:HEAD_SIZE], source.kind.block_size)


@lru_cache(_HEADS_KEPT)
def _checked(stored: bytes, block_size: int) -> Head | None:
    if len(stored) < HEAD_SIZE:
        return None
    _, raw_offset, raw_length, data_length, severity = StatusBlockHead.codec.unpack(stored)
    entries_end = HEAD_SIZE + data_length
    length = (raw_offset + raw_length if raw_length else entries_end) & _U32
    if not HEAD_SIZE <= length <= block_size:
        return None  # "Truncated error status block!", "Invalid error status block length!"
    if 0 < data_length < ENTRY_SIZE_OLD or (raw_length and raw_offset < entries_end):
        return None  # "Invalid CPER header!"
    return Head(length, entries_end, severity)


def _digest(block: bytes) -> bytes:
    """A block is remembered by 16 bytes, not by all of them."""
    return blake2b(block, digest_size=16).digest()


def _is_sync(source: ErrorSource) -> bool:
    """is_hest_sync_notify(): on arm64 only SEA tells of an error of the running task."""
    return source.kind.notification is NotificationType.SEA

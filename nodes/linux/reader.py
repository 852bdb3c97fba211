"""Linux's reader of error sources: the same code in the host's kernel and in a guest's.

Two ways in. IRQ-like sources (polled, GSIV, GPIO) are processed where they are read. NMI-like ones (SEA, SDEI)
are copied into a pool, cleared and acknowledged, and processed in irq_work; a block that was printed within the
last 10 s is dropped there. Printing is limited, processing is not.

Sources: Linux drivers/acpi/apei/ghes.c (ghes_proc(), ghes_in_nmi_queue_one_entry(), ghes_proc_in_irq(),
ghes_do_proc(), ghes_print_estatus(), ghes_estatus_cached(), ghes_estatus_cache_add()) of 6.1.192 and 6.12.117.
"""

from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from nodes.apei.source import ErrorSource
from nodes.events import RecordLogged, RecordLost, RecordRead
from nodes.ledger import Account
from nodes.linux.estatus import Entry, walk
from nodes.spec.hest import NotificationType
from nodes.spec.layout import Malformed
from nodes.spec.severity import GhesSeverity, ghes_severity
from nodes.spec.status_block import HEAD_SIZE, StatusBlockHead, block_length

if TYPE_CHECKING:
    from nodes.linux.kernel import LinuxKernel

CACHE_SIZE: Final = 4  # GHES_ESTATUS_CACHES_SIZE
CACHE_TIME_NS: Final = 10_000_000_000  # GHES_ESTATUS_IN_CACHE_MAX_NSEC
PRINT_INTERVAL_NS: Final = 5_000_000_000  # not more than 2 messages every 5 seconds, for each class
PRINT_BURST: Final = 2
POOL_CACHE_BYTES: Final = 512 * 6  # GHES_ESTATUS_CACHE_AVG_SIZE * GHES_ESTATUS_CACHE_ALLOCED_MAX
POOL_SOURCE_BYTES: Final = 65536  # GHES_ESOURCE_PREALLOC_MAX_SIZE
NODE_HEAD: Final = 48  # bytes: struct ghes_estatus_node on arm64
_FREE: Final = (b"", bytes(4))  # block status of a block that is not there: neither cleared nor acknowledged
_PAGE: Final = 4096  # bytes; the pool is page aligned
ENOENT: Final = 2
EIO: Final = 5
ENOMEM: Final = 12
ECANCELED: Final = 125

PANIC_TEXT: Final = "GHES: Fatal hardware error"


_NO_CACHE: Final = (None,) * CACHE_SIZE
_NO_LIMITS: Final = (-PRINT_INTERVAL_NS - 1, 0) * 2


class Cached(NamedTuple):
    """A block that was printed not long ago."""

    digest: bytes  # of the whole block
    since_ns: int
    hits: int


class Queued(NamedTuple):
    """A block in the pool, waiting for irq_work."""

    source: ErrorSource
    block: bytes
    entries: list[Entry]
    carried: int


class GhesReader:
    """The reader of one kernel."""

    __slots__ = ("cache", "kernel", "limits", "pool_used", "queue")

    def __init__(self, kernel: "LinuxKernel") -> None:
        self.kernel = kernel
        self.pool_used = 0  # bytes
        self.queue: tuple[Queued, ...] = ()
        self.cache: tuple[Cached | None, ...] = _NO_CACHE
        self.limits = _NO_LIMITS  # corrected: interval's begin (ns) and lines printed since; uncorrected: the same

    @property
    def pool_size(self) -> int:
        """Bytes of the pool, whole pages."""
        return -(-(POOL_CACHE_BYTES + POOL_SOURCE_BYTES * self.kernel.config.source_count) // _PAGE) * _PAGE

    def proc(self, source: ErrorSource) -> int:
        """ghes_proc(): read, print, process, clear and acknowledge. 0, or a negative error."""
        block = source.block
        if block[:4] in _FREE:
            return -ENOENT
        entries = self._checked(source, block)
        if entries is None:
            return -EIO
        self._read(source, block, entries)
        carried = source.take_carried()
        if ghes_severity(StatusBlockHead.codec.unpack_from(block)[4]) is GhesSeverity.PANIC:
            source.clear()
            self._log(source, block, printed=True)
            self.kernel.fatal_record(carried)
            return 0
        printed = self._print(block)
        source.clear()
        self._log(source, block, printed=printed)
        self.kernel.process_sections(block, entries, carried, synchronous=_is_sync(source))
        return 0

    def nmi(self, source: ErrorSource) -> int:
        """ghes_in_nmi_queue_one_entry(): copy into the pool, clear and acknowledge. 0, or a negative error.

        With the pool empty the block is neither cleared nor acknowledged: the source is stuck until memory is
        freed and it is read again.
        """
        block = source.block
        if block[:4] in _FREE:
            return -ENOENT
        refused = self._head_refused(source, block)
        size = NODE_HEAD + block_length(block) if not refused else 0
        if size > self.pool_size - self.pool_used:
            self._lost(source, Account.LOST_POOL_EMPTY)
            return -ENOMEM
        entries = self._checked(source, block)
        if entries is None:
            return -EIO if refused else -ENOENT
        self._read(source, block, entries)
        carried = source.take_carried()
        source.clear()
        if ghes_severity(StatusBlockHead.codec.unpack_from(block)[4]) is GhesSeverity.PANIC:
            self._log(source, block, printed=True)
            self.kernel.fatal_record(carried)
            return 0
        if self._cached(block):
            self.kernel.ledger.move(carried, Account.IN_FLIGHT, Account.COALESCED)
            self._lost(source, Account.COALESCED)
            return -ECANCELED if self.kernel.behaviour.cancels_duplicate_sea and _is_sync(source) else 0
        self.pool_used += size
        self.queue = (*self.queue, Queued(source, block, entries, carried))
        return 0

    def irq_work(self) -> None:
        """ghes_proc_in_irq(): process what was queued, then print it where the limits allow."""
        waiting, self.queue = self.queue, ()
        for source, block, entries, carried in waiting:
            self.kernel.process_sections(block, entries, carried, synchronous=_is_sync(source))
            self._log(source, block, printed=self._print(block))
            self.pool_used -= NODE_HEAD + block_length(block)

    def _head_refused(self, source: ErrorSource, block: bytes) -> bool:
        """__ghes_check_estatus(): a length below the head's, beyond the source's block, or a bad head."""
        if len(block) < HEAD_SIZE:
            return True
        length = block_length(block)
        if not HEAD_SIZE <= length <= source.kind.block_size:
            return True
        _, raw_offset, raw_length, data_length, _ = StatusBlockHead.codec.unpack_from(block)
        return 0 < data_length < 64 or bool(raw_length and raw_offset < HEAD_SIZE + data_length)

    def _checked(self, source: ErrorSource, block: bytes) -> list[Entry] | None:
        """The entries; None, with the block cleared, acknowledged and lost, when Linux refuses it."""
        if not self._head_refused(source, block):
            try:
                return walk(block)
            except Malformed:
                pass
        self.kernel.ledger.move(source.take_carried(), Account.IN_FLIGHT, Account.LOST_BLOCK_MALFORMED)
        source.clear()
        self._lost(source, Account.LOST_BLOCK_MALFORMED)
        return None

    def _read(self, source: ErrorSource, block: bytes, entries: list[Entry]) -> None:
        kernel = self.kernel
        severity = StatusBlockHead.codec.unpack_from(block)[4]
        kernel.ask.publish(RecordRead, kernel.level, source.kind.source_id, severity, len(entries), kernel.guest)

    def _log(self, source: ErrorSource, block: bytes, *, printed: bool) -> None:
        kernel = self.kernel
        severity = StatusBlockHead.codec.unpack_from(block)[4]
        kernel.ask.publish(RecordLogged, kernel.level, source.kind.source_id, severity, int(printed), kernel.guest)

    def _lost(self, source: ErrorSource, account: Account) -> None:
        kernel = self.kernel
        kernel.ask.publish(RecordLost, kernel.level, source.kind.source_id, account, kernel.guest)

    def _print(self, block: bytes) -> bool:
        """Print a block unless it was printed just now or the limit is reached; what is printed is cached."""
        if self._cached(block) or not self._print_allowed(block):
            return False
        self._cache_add(block)
        return True

    def _print_allowed(self, block: bytes) -> bool:
        """The print limit: one for corrected and informational records, one for the rest."""
        severity = ghes_severity(StatusBlockHead.codec.unpack_from(block)[4])
        corrected, uncorrected = self.limits[:2], self.limits[2:]
        began_ns, printed = corrected if severity <= GhesSeverity.CORRECTED else uncorrected
        now = self.kernel.ask.now
        if now > began_ns + PRINT_INTERVAL_NS:
            began_ns, printed = now, 0
        if printed >= PRINT_BURST:
            return False
        limit = (began_ns, printed + 1)
        self.limits = limit + uncorrected if severity <= GhesSeverity.CORRECTED else corrected + limit
        return True

    def _cached(self, block: bytes) -> bool:
        """Whether the identical block, timestamps included, was printed within the last 10 s."""
        if self.cache is _NO_CACHE:
            return False
        digest = _digest(block)
        for index, cached in enumerate(self.cache):
            if cached is not None and cached.digest == digest:
                self._replace(index, Cached(digest, cached.since_ns, cached.hits + 1))
                return self.kernel.ask.now - cached.since_ns < CACHE_TIME_NS
        return False

    def _replace(self, index: int, cached: Cached) -> None:
        self.cache = (*self.cache[:index], cached, *self.cache[index + 1 :])

    def _cache_add(self, block: bytes) -> None:
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
            self._replace(place, Cached(_digest(block), now, 0))

    def carried(self) -> int:
        """Occurrences in the pool; for the accounting check."""
        return sum(queued.carried for queued in self.queue)


def _digest(block: bytes) -> bytes:
    """A block is remembered by 16 bytes, not by all of them."""
    return blake2b(block, digest_size=16).digest()


def _is_sync(source: ErrorSource) -> bool:
    """is_hest_sync_notify(): on arm64 only SEA tells of an error of the running task."""
    return source.kind.notification is NotificationType.SEA

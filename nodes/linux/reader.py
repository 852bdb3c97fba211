"""Linux's reader of error sources: the same code in the host's kernel and in a guest's.

Two ways in. IRQ-like sources (polled, GSIV, GPIO) are processed where they are read. NMI-like ones (SEA, SDEI)
are copied into a pool, cleared and acknowledged, and processed in irq_work; a block that was printed within the
last 10 s is dropped there. Printing is limited, processing is not.

Sources: Linux drivers/acpi/apei/ghes.c (ghes_proc(), ghes_in_nmi_queue_one_entry(), ghes_proc_in_irq(),
ghes_do_proc(), ghes_print_estatus(), ghes_estatus_cached(), ghes_estatus_cache_add()) of 6.1.192 and 6.12.117.
"""

from typing import Final, NamedTuple, Protocol

from nodes.apei.source import ErrorSource
from nodes.events import NO_GUEST, Event, Level, RecordLogged, RecordLost, RecordRead
from nodes.ledger import Account, Ledger
from nodes.linux.estatus import Entry, walk
from nodes.linux.versions import Behaviour
from nodes.spec.hest import NotificationType
from nodes.spec.layout import Malformed
from nodes.spec.severity import GhesSeverity, ghes_severity
from nodes.spec.status_block import HEAD_SIZE, StatusBlockHead, block_length

CACHE_SIZE: Final = 4  # GHES_ESTATUS_CACHES_SIZE
CACHE_TIME_NS: Final = 10_000_000_000  # GHES_ESTATUS_IN_CACHE_MAX_NSEC
PRINT_INTERVAL_NS: Final = 5_000_000_000  # not more than 2 messages every 5 seconds, for each class
PRINT_BURST: Final = 2
POOL_CACHE_BYTES: Final = 512 * 6  # GHES_ESTATUS_CACHE_AVG_SIZE * GHES_ESTATUS_CACHE_ALLOCED_MAX
POOL_SOURCE_BYTES: Final = 65536  # GHES_ESOURCE_PREALLOC_MAX_SIZE
NODE_HEAD: Final = 48  # bytes: struct ghes_estatus_node on arm64
CACHE_HEAD: Final = 40  # bytes: struct ghes_estatus_cache on arm64
_FREE: Final = (b"", bytes(4))  # block status of a block that is not there: neither cleared nor acknowledged
_PAGE: Final = 4096  # bytes; the pool is page aligned
ENOENT: Final = 2
EIO: Final = 5
ENOMEM: Final = 12
ECANCELED: Final = 125

PANIC_TEXT: Final = "GHES: Fatal hardware error"


class Cached(NamedTuple):
    """A block that was printed not long ago."""

    block: bytes
    since_ns: int
    hits: list[int]  # one number, changed in place


class Queued(NamedTuple):
    """A block in the pool, waiting for irq_work."""

    source: ErrorSource
    block: bytes
    entries: list[Entry]
    carried: int


class Neighbours(Protocol):
    """What the reader asks of the kernel around it."""

    @property
    def now(self) -> int:
        """Virtual time, ns."""

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""

    def process_sections(self, block: bytes, entries: list[Entry], carried: int, *, synchronous: bool) -> bool:
        """Act on the sections of a record; True when memory_failure was queued for the last one that asks it."""

    def fatal_record(self, carried: int) -> None:
        """A fatal record: the kernel panics."""


class GhesReader:
    """The reader of one kernel."""

    __slots__ = (
        "ask",
        "behaviour",
        "cache",
        "guest",
        "ledger",
        "level",
        "limit_began_ns",
        "limit_printed",
        "pool_free",
        "pool_size",
        "queue",
    )

    def __init__(
        self, ask: Neighbours, ledger: Ledger, behaviour: Behaviour, source_count: int, *, guest: int = NO_GUEST
    ) -> None:
        self.ask = ask
        self.ledger = ledger
        self.behaviour = behaviour
        self.guest = guest
        self.level = Level.HYPERVISOR if guest == NO_GUEST else Level.GUEST_KERNEL
        self.pool_size = -(-(POOL_CACHE_BYTES + POOL_SOURCE_BYTES * source_count) // _PAGE) * _PAGE  # bytes
        self.pool_free = self.pool_size
        self.queue: list[Queued] = []
        self.cache: list[Cached | None] = [None] * CACHE_SIZE
        self.limit_began_ns = [-1, -1]  # corrected, uncorrected; -1: not begun
        self.limit_printed = [0, 0]

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
            self.ask.fatal_record(carried)
            return 0
        printed = False
        if not self._cached(block):
            printed = self._print_allowed(block)
            if printed:
                self._cache_add(block)
        source.clear()
        self._log(source, block, printed=printed)
        self.ask.process_sections(block, entries, carried, synchronous=_is_sync(source))
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
        if size > self.pool_free:
            self.ask.publish(RecordLost, self.level, source.source_id, Account.LOST_POOL_EMPTY, self.guest)
            return -ENOMEM
        entries = self._checked(source, block)
        if entries is None:
            return -EIO if refused else -ENOENT
        self._read(source, block, entries)
        carried = source.take_carried()
        source.clear()
        if ghes_severity(StatusBlockHead.codec.unpack_from(block)[4]) is GhesSeverity.PANIC:
            self._log(source, block, printed=True)
            self.ask.fatal_record(carried)
            return 0
        if self._cached(block):
            self.ledger.move(carried, Account.IN_FLIGHT, Account.COALESCED)
            self.ask.publish(RecordLost, self.level, source.source_id, Account.COALESCED, self.guest)
            return -ECANCELED if self.behaviour.cancels_duplicate_sea and _is_sync(source) else 0
        self.pool_free -= size
        self.queue.append(Queued(source, block, entries, carried))
        return 0

    def irq_work(self) -> bool:
        """ghes_proc_in_irq(): process what was queued; True when the last record queued a memory failure."""
        queued = False
        waiting, self.queue = self.queue, []
        for source, block, entries, carried in waiting:
            queued = self.ask.process_sections(block, entries, carried, synchronous=_is_sync(source))
            printed = False
            if not self._cached(block):
                printed = self._print_allowed(block)
                if printed:
                    self._cache_add(block)
            self._log(source, block, printed=printed)
            self.pool_free += NODE_HEAD + block_length(block)
        return queued

    def _head_refused(self, source: ErrorSource, block: bytes) -> bool:
        """__ghes_check_estatus(): a length below the head's, beyond the source's block, or a bad head."""
        if len(block) < HEAD_SIZE:
            return True
        length = block_length(block)
        if not HEAD_SIZE <= length <= source.block_size:
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
        self.ledger.move(source.take_carried(), Account.IN_FLIGHT, Account.LOST_BLOCK_MALFORMED)
        source.clear()
        self.ask.publish(RecordLost, self.level, source.source_id, Account.LOST_BLOCK_MALFORMED, self.guest)
        return None

    def _read(self, source: ErrorSource, block: bytes, entries: list[Entry]) -> None:
        severity = StatusBlockHead.codec.unpack_from(block)[4]
        self.ask.publish(RecordRead, self.level, source.source_id, severity, len(entries), self.guest)

    def _log(self, source: ErrorSource, block: bytes, *, printed: bool) -> None:
        severity = StatusBlockHead.codec.unpack_from(block)[4]
        self.ask.publish(RecordLogged, self.level, source.source_id, severity, int(printed), self.guest)

    def _print_allowed(self, block: bytes) -> bool:
        """The print limit: one for corrected and informational records, one for the rest."""
        severity = ghes_severity(StatusBlockHead.codec.unpack_from(block)[4])
        index = int(severity > GhesSeverity.CORRECTED)
        now = self.ask.now
        began = self.limit_began_ns[index]
        if began < 0 or now > began + PRINT_INTERVAL_NS:
            self.limit_began_ns[index] = now
            self.limit_printed[index] = 0
        if self.limit_printed[index] >= PRINT_BURST:
            return False
        self.limit_printed[index] += 1
        return True

    def _cached(self, block: bytes) -> bool:
        """Whether the identical block, timestamps included, was printed within the last 10 s."""
        for cached in self.cache:
            if cached is not None and cached.block == block:
                cached.hits[0] += 1
                return self.ask.now - cached.since_ns < CACHE_TIME_NS
        return False

    def _cache_add(self, block: bytes) -> None:
        """Keep a printed block: in a free place, an expired one, or that of the least frequent block."""
        now = self.ask.now
        place, longest = -1, 0
        for index, cached in enumerate(self.cache):
            if cached is None or now - cached.since_ns >= CACHE_TIME_NS:
                place = index
                break
            period = (now - cached.since_ns) // (cached.hits[0] + 1)
            if period > longest:
                place, longest = index, period
        if place < 0 or CACHE_HEAD + len(block) > self.pool_free + self._held(place):
            return
        self.pool_free += self._held(place) - CACHE_HEAD - len(block)
        self.cache[place] = Cached(block, now, [0])

    def _held(self, place: int) -> int:
        cached = self.cache[place]
        return 0 if cached is None else CACHE_HEAD + len(cached.block)

    def carried(self) -> int:
        """Occurrences in the pool; for the accounting check."""
        return sum(queued.carried for queued in self.queue)


def _is_sync(source: ErrorSource) -> bool:
    """is_hest_sync_notify(): on arm64 only SEA tells of an error of the running task."""
    return source.notification is NotificationType.SEA

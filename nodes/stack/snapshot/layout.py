"""What a snapshot holds: for each floor the state in which it may differ from a fresh one, as positional arrays.

Where a field has a slot's name it holds that slot. Fields are only ever appended, each with a default; any other
change is another ``SNAPSHOT_FORMAT``. What a quiet host seldom has stands in a part of its own, so that it costs
one byte while it is not there. ``SLOTS`` says of every slot of every floor whether it is stored.

Source: the design's section 3, "Actor": a snapshot is the difference from a fresh host.
"""

from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from nodes.apei.source import READ_ACK_WRITE, ErrorSource, Sources
from nodes.el3.monitor import Monitor
from nodes.el3.partition import Building, Partition
from nodes.el3.sdei import Dispatcher
from nodes.guest.kernel import GuestKernel
from nodes.hardware.board import Board
from nodes.hardware.pe import Arriving, Pe
from nodes.hardware.pes import Pes
from nodes.hardware.ras_nodes import KIND_SHIFT, MODELS
from nodes.hardware.record import ErrorRecord
from nodes.hypervisor.kernel import HostKernel
from nodes.hypervisor.kvm import Vcpu
from nodes.hypervisor.vmm import Vmm
from nodes.ledger import Account
from nodes.linux.kernel import LinuxKernel
from nodes.linux.memory_failure import Flag, MemoryFailure
from nodes.linux.reader import CACHE_SIZE, Cached, GhesReader
from nodes.policy import SwitchChanges
from nodes.stack.guests import Guest, Guests
from nodes.stack.machine import Machine
from nodes.stack.tasks import Consumer, Tasks
from nodes.stack.timers import Timer

SNAPSHOT_FORMAT: Final = 1
COUNT_MAX: Final = (1 << 32) - 1  # of one account of a ledger

Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
Counts = Annotated[list[Count], Meta(max_length=len(Account))]  # index: Account; the sum follows from them
Ids = tuple[int, ...]
RasNode = Annotated[int, Meta(ge=0, lt=len(MODELS) << KIND_SHIFT)]
Waiting = tuple[int, Timer, tuple[int, int, int]]  # when a timer is due (ns), which one, its numbers


class Stored(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Base of everything here."""


class StoredSource(Stored, frozen=True, gc=False, array_like=True):
    """An error source that is not as its reader leaves it."""

    source_id: int
    block: bytes
    read_ack: int = READ_ACK_WRITE
    carried: int = 0


class StoredCopy(Stored, frozen=True, gc=False, array_like=True):
    """A block in a kernel's pool; its entries follow from its bytes."""

    source_id: int
    block: bytes
    digest: bytes
    severity: int
    carried: int


class StoredWork(Stored, frozen=True, gc=False, array_like=True):
    """What a kernel has still to do."""

    pool_used: int = 0
    queue: tuple[StoredCopy, ...] = ()
    fifo: tuple[tuple[int, Flag, int], ...] = ()
    dissolved: dict[int, bool] = {}
    task_work: list[tuple[int, int]] | None = None
    stopped: bool = False
    sigbus_pending: bool = False


class StoredLinux(Stored, frozen=True, gc=False, array_like=True):
    """A kernel: of its reader the cache and the limits, of its memory_failure the pages."""

    cache: Annotated[tuple[Cached | None, ...], Meta(min_length=CACHE_SIZE, max_length=CACHE_SIZE)] | None = None
    limits: tuple[int, int, int, int] | None = None
    poisoned: dict[int, bool] | None = None
    work: StoredWork | None = None


class StoredGuestState(Stored, frozen=True, gc=False, array_like=True):
    """What seldom distinguishes a guest: of its vCPU, its VMM and its kernel."""

    masked: bool = False
    vse: bool = False
    vsesr: int = 0
    vdisr: int = 0
    carried: int = 0
    busy: bool = False
    queue: tuple[tuple[int, bytes], ...] = ()
    acknowledges: bool = True
    calling: bool = False
    down: bool = False
    refused: bool = False
    waits: bool = False


class StoredGuest(Stored, frozen=True, gc=False, array_like=True):
    """A guest that something concerned."""

    guest: int
    el: int = 0  # of its vCPU
    sources: tuple[int | StoredSource, ...] = ()
    linux: StoredLinux | None = None
    state: StoredGuestState | None = None


class StoredRecord(Stored, frozen=True, gc=False, array_like=True):
    """An error record of a RAS node."""

    node: RasNode
    ctlr: int
    status: int
    addr: int
    misc0: int
    met: int
    pfgctl: int
    pfgcdn: int
    countdowns: int
    restarts: int
    asserted: int
    carried: int
    account: Account


class StoredPe(Stored, frozen=True, gc=False, array_like=True):
    """A PE; ``sctlr`` None: as after boot."""

    pe: int
    sctlr: tuple[int, int, int, int] | None
    scr: int
    hcr: int
    guest: int
    el: int
    masked: bool
    in_partition: bool
    sdei_masked: bool
    arriving: tuple[Arriving, ...]
    pending: int
    pending_nodes: Ids
    carried: int
    disr: int
    placed: bool = False


class StoredEntry(Stored, frozen=True, gc=False, array_like=True):
    """A PE that is in EL3."""

    to_notify: Ids  # source ids
    pe: int
    esr: int
    far: int
    guest: int
    el: int
    masked: bool
    waiting_esr: int
    repeats: int


class StoredMonitor(Stored, frozen=True, gc=False, array_like=True):
    """EL3 at work, stopped, or with an SDEI dispatcher that is not as after boot."""

    stopped: bool = False
    entries: tuple[StoredEntry, ...] = ()
    built: dict[int, Building] = {}
    sdei_masked: bool = False
    running: dict[int, Ids] = {}
    handlers: dict[int, int] = {}  # event -> REGISTERED and ENABLED
    busy_until: int = 0  # of the MM partition, as built and spinning
    spinning: Ids = ()
    masked: Ids = ()


class StoredState(Stored, frozen=True, gc=False, array_like=True):
    """What seldom distinguishes a host."""

    down: bool = False
    kernel_down: bool = False
    falls: int = 0
    resets: int = 0
    polling: Ids = ()
    consumers: dict[int, Consumer] = {}
    gone: Ids = ()
    stopped: Ids = ()
    firmware_withdrawn: Ids = ()
    pes: tuple[StoredPe, ...] = ()
    monitor: StoredMonitor | None = None
    switches: SwitchChanges | None = None  # against the host's home


class Glance(Stored, frozen=True, gc=False, array_like=True):
    """The beginning of a snapshot: what is asked of it while its host stays away."""

    format: int
    timers: tuple[Waiting, ...] | None  # as they fire
    ledger: Counts
    guests_ledger: Counts | None  # None: nothing was ever injected


class StoredHost(Glance, frozen=True, gc=False, array_like=True):
    """A whole host."""

    now: int = 0
    sequence: int = 0
    sources: tuple[int | StoredSource, ...] = ()  # a bare id: as its reader leaves it
    linux: StoredLinux | None = None
    poison: dict[int, int] | None = None
    records: tuple[StoredRecord, ...] | None = None
    guests: tuple[StoredGuest, ...] | None = None
    state: StoredState | None = None


class Slots(NamedTuple):
    """What a snapshot does with the slots of a floor."""

    stored: str  # names of those that it holds
    wired: str = ""  # of those that follow from name, home, world, or other slots


SLOTS: Final = {
    Machine: Slots(
        "board down falls guests kernel ledger monitor now platform polling resets sequence sources tasks",
        "epoch_ns home index name world",
    ),
    Tasks: Slots("consumers", "machine"),
    Guests: Slots("firmware_withdrawn gone guests ledger stopped", "ask platform"),
    Guest: Slots("kernel vcpu vmm"),
    Vcpu: Slots("carried el masked vdisr vse vsesr", "guest"),
    Vmm: Slots("busy queue refused sources", "ask guest has_ghes"),
    GuestKernel: Slots("acknowledges calling down linux waits", "ask guest"),
    Board: Slots("pes poison records", "ask ledger setup"),
    Pes: Slots("touched", "ask ledger"),
    Pe: Slots(
        "arriving carried disr el guest hcr in_partition masked"
        " pending pending_nodes placed scr sctlr sdei_masked",
    ),
    ErrorRecord: Slots(
        "account addr asserted carried countdowns ctlr met misc0 pfgcdn pfgctl restarts status", "model"
    ),
    Monitor: Slots("entries masked partition sdei stopped", "ask board sources switches"),
    Partition: Slots("building busy_until spinning"),
    Dispatcher: Slots("_handlers masked running"),
    Sources: Slots("made", "kinds"),
    ErrorSource: Slots("block carried read_ack", "kind"),
    HostKernel: Slots("down linux", "aest ask board sources"),
    LinuxKernel: Slots(
        "_failure _reader sigbus_pending stopped task_work", "ask config current guest ledger level"
    ),
    GhesReader: Slots("cache limits pool_used queue", "kernel"),
    MemoryFailure: Slots("dissolved fifo poisoned", "kernel"),
}
"""Every floor of a host. A task is ``current`` only while an abort is handled, so never in a snapshot."""

"""What floors ask of their neighbours, written down in order."""

from nodes.apei.source import ErrorSource, SourceKind, Written
from nodes.events import SignalCode
from nodes.ledger import Account, Ledger
from nodes.linux.kernel import KernelConfig, LinuxKernel
from nodes.linux.pages import GUEST_BASE, MemoryMap, PageKind
from nodes.linux.versions import BEHAVIOUR
from nodes.policy import Kernel
from nodes.spec.hest import NotificationType

MIB = 1 << 20
KINDS = tuple(kind for kind in PageKind if kind is not PageKind.OUTSIDE)
MAP = MemoryMap(GUEST_BASE, [(64 * MIB, kind, 0 if kind is PageKind.GUEST else -1) for kind in KINDS])


def page(kind, index=0):
    """Address of a page of a kind; outside: behind all memory."""
    first = MAP.end if kind is PageKind.OUTSIDE else MAP.range_of(kind, 0 if kind is PageKind.GUEST else -1)[0]
    return first + index * 4096


class Recorder:
    """Facts that left, as instances of their events."""

    def __init__(self):
        self.now = 0
        self.events = []
        self.ledger = Ledger()

    def publish(self, kind, *fields):
        self.events.append(kind(0, "", len(self.events), self.now, *fields))

    def of(self, *kinds):
        return [event for event in self.events if isinstance(event, kinds)]


class KernelMachine(Recorder):
    """What a kernel asks of the machine under it."""

    def __init__(self):
        super().__init__()
        self.works = 0  # how often the worker was scheduled
        self.taken = []  # pages that were taken away
        self.signals = []  # page kind and code
        self.forced = []  # signal's name, or None, and address
        self.killed = self.down = self.hung = False

    def schedule_failure_work(self):
        self.works += 1

    def page_taken(self, first, size):
        self.taken.append((first, size))

    def sigbus(self, page, address, code):
        self.signals.append((page.kind, SignalCode(code)))

    def force_signal(self, signal, task, address=0):
        self.forced.append((signal and signal.name, address))

    def task_killed(self):
        self.killed = True

    def kernel_down(self):
        self.down = True

    def kernel_hung(self):
        self.hung = True


def kernel(version=Kernel.V6_12, *, memory_map=MAP, source_count=1, panic_on_oops=False, guest=-1):
    """A kernel whose machine only writes down what it asks; ``kernel.ask`` is that machine."""
    machine = KernelMachine()
    config = KernelConfig(BEHAVIOUR[version], memory_map, source_count, panic_on_oops)
    return LinuxKernel(machine, machine.ledger, config, guest=guest)


def source(notification=NotificationType.POLLED, source_id=0, block_size=4096):
    return ErrorSource(SourceKind(source_id, notification, block_size=block_size))


def give(linux, source, block):
    """Firmware writes a block, one new occurrence behind it."""
    linux.ledger.inject()
    assert source.write(block, 1) is Written.WRITTEN
    return source


def accounts(ledger):
    """The accounts that are not 0, by name."""
    return {account.name: ledger[account] for account in Account if ledger[account]}

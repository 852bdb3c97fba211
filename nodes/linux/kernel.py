"""What the host's kernel and a guest's kernel do alike with records: read, act, signal, panic.

A kernel asks its machine for sources, time and tasks through ``Neighbours``; nodes.hypervisor.kernel and
nodes.guest.kernel bind it.

Sources: Linux drivers/acpi/apei/ghes.c ghes_do_proc(), ghes_kick_task_work(); arch/arm64/kernel/acpi.c
apei_claim_sea(); arch/arm64/mm/fault.c do_sea() of 6.1.192 and 6.12.117; the task work of 6.19.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

from nodes.apei.source import ErrorSource
from nodes.events import (
    NO_GUEST,
    Event,
    KernelPanicked,
    Level,
    PcieRecoveryQueued,
    Receiver,
    Signal,
    SignalCode,
    SignalSent,
    SyndromeSwallowed,
    TaskKilled,
)
from nodes.ledger import Account, Ledger
from nodes.linux.estatus import Entry
from nodes.linux.memory_failure import EHWPOISON, Flag, MemoryFailure, Task
from nodes.linux.pages import MemoryMap, Page, PageKind
from nodes.linux.reader import PANIC_TEXT, GhesReader
from nodes.linux.sections import DeviceRecovery, PageFailure, wanted
from nodes.linux.traps import (
    SEA_SIGNALS,
    SERROR_PANIC,
    SeaSignal,
    SErrorVerdict,
    classify_serror,
    kernel_oops_panics,
)
from nodes.linux.versions import BEHAVIOUR
from nodes.policy import Kernel
from nodes.spec.severity import GhesSeverity, ghes_severity
from nodes.spec.status_block import StatusBlockHead
from nodes.spec.syndrome import DFSC_MASK

EINPROGRESS: Final = 115
ENOENT: Final = 2


class KernelConfig(NamedTuple):
    """How a kernel is built and what machine it runs on; shared between kernels that are alike."""

    version: Kernel
    memory_map: MemoryMap
    source_count: int  # error sources in its HEST
    panic_on_oops: bool


class Neighbours(Protocol):
    """What a kernel asks of the machine under it and of its tasks."""

    @property
    def now(self) -> int:
        """Virtual time, ns."""

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""

    def schedule_failure_work(self) -> None:
        """Run memory_failure's worker soon."""

    def schedule_irq_work(self) -> None:
        """Run irq_work soon."""

    def forget_page(self, first: int, size: int) -> int:
        """Poison in a page that was taken away will never be read; returns what it carried."""

    def sigbus(self, page: Page, address: int, code: SignalCode) -> None:
        """A task that has a page mapped gets SIGBUS."""

    def force_signal(self, signal: SeaSignal | None, task: Task) -> None:
        """The running task gets the signal of an abort; None: SIGBUS without an address."""

    def task_killed(self) -> None:
        """A kernel oops ended the task that ran."""

    def kernel_down(self) -> None:
        """The kernel panicked."""


class LinuxKernel:
    """One running kernel, as far as errors concern it."""

    __slots__ = (
        "ask",
        "behaviour",
        "current",
        "failure",
        "guest",
        "ledger",
        "level",
        "panic_on_oops",
        "reader",
        "task_work",
    )

    def __init__(self, ask: Neighbours, ledger: Ledger, config: KernelConfig, *, guest: int = NO_GUEST) -> None:
        self.ask = ask
        self.ledger = ledger
        self.behaviour = BEHAVIOUR[config.version]
        self.guest = guest
        self.level = Level.HYPERVISOR if guest == NO_GUEST else Level.GUEST_KERNEL
        self.panic_on_oops = config.panic_on_oops
        self.reader = GhesReader(self, ledger, self.behaviour, config.source_count, guest=guest)
        self.failure = MemoryFailure(ask, ledger, config.memory_map, self.behaviour, guest=guest)
        self.current: Task | None = None  # the task that an abort interrupted, while it is handled
        self.task_work: list[tuple[int, int]] = []  # address, occurrences: to be failed before user space runs

    @property
    def now(self) -> int:
        """Virtual time, ns."""
        return self.ask.now

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""
        self.ask.publish(kind, *fields)

    def process_sections(self, block: bytes, entries: list[Entry], carried: int, *, synchronous: bool) -> bool:
        """ghes_do_proc(): True when a memory failure was queued for the last section that asked for one."""
        severity = StatusBlockHead.codec.unpack_from(block)[4]
        queued = False
        for want in wanted(block, entries, severity, self.behaviour, synchronous=synchronous):
            if isinstance(want, PageFailure):
                queued, carried = self._want_failure(want, carried)
            elif isinstance(want, DeviceRecovery):
                self.publish(PcieRecoveryQueued, self.level, want.device, want.severity, self.guest)
            elif want.resets:
                queued = False
        if carried:
            corrected = ghes_severity(severity) <= GhesSeverity.CORRECTED
            self.ledger.move(carried, Account.IN_FLIGHT, Account.CORRECTED if corrected else Account.REPORTED)
        if synchronous and not queued and self.current is not None:
            self.ask.force_signal(None, self.current)  # "synchronous unrecoverable error (SIGBUS)"
        return queued

    def _want_failure(self, want: PageFailure, carried: int) -> tuple[bool, int]:
        """Queue one page; returns whether it was queued, and what is still carried."""
        outside = self.failure.map.page_of(want.address).kind is PageKind.OUTSIDE
        if self.behaviour.checks_pfn and outside:
            return False, carried
        if self.behaviour.failure_in_task_work and want.flags & Flag.ACTION_REQUIRED:
            self.task_work.append((want.address, carried))
        else:
            self.failure.queue(want.address, want.flags, carried)
        return True, 0

    def fatal_record(self, carried: int) -> None:
        """A fatal record was read."""
        self.ledger.move(carried, Account.IN_FLIGHT, Account.REPORTED)
        self.panic(PANIC_TEXT)

    def panic(self, reason: str) -> None:
        """The kernel stops."""
        self.publish(KernelPanicked, self.level, reason, self.guest)
        self.ask.kernel_down()

    def claim_sea(self, sources: Iterable[ErrorSource], task: Task | None, *, irqs_enabled: bool = True) -> int:
        """apei_claim_sea(): 0 when one of the SEA sources had a record; it is processed at once."""
        claimed = -ENOENT
        for source in sources:
            if self.reader.nmi(source) == 0:
                claimed = 0
        if claimed:
            return claimed
        if not irqs_enabled:
            return -EINPROGRESS  # "APEI work queued but not completed"
        self.current = task
        self.reader.irq_work()
        self.current = None
        return 0

    def return_to_user(self, task: Task) -> None:
        """Before the interrupted task goes on: task work, which kills it where nothing else helps."""
        work, self.task_work = self.task_work, []
        for address, carried in work:
            error = self.failure.fail(address, Flag.ACTION_REQUIRED, carried, task)
            if error not in (0, -EHWPOISON):
                self.ask.force_signal(None, task)
        self.failure.work(task)

    def unclaimed_sea(self, esr: int, task: Task | None, *, in_interrupt: bool = False) -> None:
        """do_sea() when APEI did not claim it: a signal for a task, die() for the kernel itself."""
        signal = SEA_SIGNALS[esr & DFSC_MASK]
        if task is not None:
            self.ask.force_signal(signal, task)
        elif kernel_oops_panics(in_interrupt=in_interrupt, panic_on_oops=self.panic_on_oops):
            self.panic("Oops: Fatal exception")
        else:
            self.publish(TaskKilled, self.level, signal.name, self.guest)
            self.ask.task_killed()

    def publish_signal(self, signal: SeaSignal | None, task: Task) -> None:
        """A task gets the signal of an abort; None: SIGBUS that says nothing but that the kernel sent it."""
        name = Signal.SIGBUS if signal is None else signal.signal
        code = SignalCode.SI_KERNEL if signal is None else signal.code
        receiver = Receiver.APPLICATION if task.owner == NO_GUEST else Receiver.VMM
        guest = self.guest if task.owner == NO_GUEST else task.owner
        self.publish(SignalSent, self.level, receiver, name, code, 0, 0, guest)

    def take_serror(self, esr: int) -> bool:
        """do_serror(): True when the kernel goes on."""
        if classify_serror(esr) is SErrorVerdict.GOES_ON:
            self.publish(SyndromeSwallowed, self.level, esr, self.guest)
            return True
        self.panic(SERROR_PANIC)
        return False

    def carried(self) -> int:
        """Occurrences inside this kernel; for the accounting check."""
        return self.reader.carried() + self.failure.carried() + sum(c for _, c in self.task_work)

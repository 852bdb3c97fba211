"""What the host's kernel and a guest's kernel do alike: read records, act on them, signal, panic.

A kernel asks its machine for time, tasks and work through ``Neighbours``; nodes.hypervisor.kernel and
nodes.guest.kernel bind it. Its reader and its memory_failure exist once they are needed.

Sources: Linux drivers/acpi/apei/ghes.c ghes_do_proc(), ghes_kick_task_work(); arch/arm64/kernel/acpi.c
apei_claim_sea(); arch/arm64/mm/fault.c do_sea(); kernel/signal.c __send_signal_locked(), legacy_queue() of
6.1.192 and 6.12.117; ghes_do_memory_failure() and kernel/task_work.c task_work_run() of 6.19.
"""

from collections.abc import Iterable, Sequence
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
from nodes.linux.pages import PAGE_SIZE, MemoryMap, Page, PageKind, address_lsb, user_address
from nodes.linux.reader import ENOENT, PANIC_TEXT, GhesReader
from nodes.linux.sections import DeviceRecovery, PageFailure, wanted
from nodes.linux.traps import (
    SEA_SIGNALS,
    SERROR_PANIC,
    SeaSignal,
    SErrorVerdict,
    classify_serror,
    oops_panic,
    signal_address,
)
from nodes.linux.versions import Behaviour
from nodes.spec.severity import GhesSeverity, ghes_severity
from nodes.spec.syndrome import DFSC_MASK

EINPROGRESS: Final = 115


class KernelConfig(NamedTuple):
    """How a kernel is built and what machine it runs on; shared between kernels that are alike."""

    behaviour: Behaviour  # of its version
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

    def page_taken(self, first: int, size: int) -> None:
        """A page was taken away: poison in it will never be read."""

    def sigbus(self, page: Page, address: int, code: SignalCode) -> None:
        """A task that has a page mapped gets SIGBUS."""

    def force_signal(self, signal: SeaSignal | None, task: Task, address: int = 0) -> None:
        """The running task gets the signal of an abort; None: SIGBUS without an address."""

    def task_killed(self) -> None:
        """A kernel oops ended the task that ran."""

    def kernel_down(self) -> None:
        """The kernel panicked."""

    def kernel_hung(self) -> None:
        """The kernel loops for ever with interrupts off, and whoever wants its lock waits."""


class LinuxKernel:
    """One running kernel, as far as errors concern it."""

    __slots__ = (
        "_failure",
        "_reader",
        "ask",
        "config",
        "current",
        "guest",
        "ledger",
        "level",
        "sigbus_pending",
        "stopped",
        "task_work",
    )

    def __init__(self, ask: Neighbours, ledger: Ledger, config: KernelConfig, *, guest: int = NO_GUEST) -> None:
        self.ask = ask
        self.ledger = ledger
        self.config = config
        self.guest = guest
        self.level = Level.HYPERVISOR if guest == NO_GUEST else Level.GUEST_KERNEL  # that its events name
        self.current: Task | None = None  # the task that an abort interrupted, while it is handled
        # What that task does before it goes on: addresses to fail, with the occurrences behind them; empty: only
        # memory_failure's queue; None: nothing.
        self.task_work: list[tuple[int, int]] | None = None
        self.sigbus_pending = False  # of that task
        self.stopped = False  # it panicked, or hangs
        self._reader: GhesReader | None = None
        self._failure: MemoryFailure | None = None

    @property
    def behaviour(self) -> Behaviour:
        """What this version does."""
        return self.config.behaviour

    @property
    def reader(self) -> GhesReader:
        """The reader of its error sources."""
        if self._reader is None:
            self._reader = GhesReader(self)
        return self._reader

    @property
    def failure(self) -> MemoryFailure:
        """Its memory_failure."""
        if self._failure is None:
            self._failure = MemoryFailure(self)
        return self._failure

    def lost(self, address: int) -> bool:
        """Whether tasks lost the page behind an address: whoever touches it gets SIGBUS."""
        return self._failure is not None and self._failure.lost(address)

    def mapped_anew(self, owner: int) -> None:
        """A VMM mapped fresh pages in place of its guest's poisoned ones."""
        if self._failure is not None:
            self._failure.mapped_anew(owner)

    def process_sections(
        self, block: bytes, severity: int, entries: Sequence[Entry], carried: int, *, synchronous: bool
    ) -> None:
        """ghes_do_proc(): act on each section; a synchronous record that asked for nothing kills its task."""
        queued = False
        for want in wanted(block, entries, severity, self.behaviour, synchronous=synchronous):
            if isinstance(want, PageFailure):
                queued, carried = self._want_failure(want, carried)
            elif isinstance(want, DeviceRecovery):
                self.ask.publish(PcieRecoveryQueued, self.level, want.device, want.severity, self.guest)
            elif want.resets:
                queued = False
        corrected = ghes_severity(severity) <= GhesSeverity.CORRECTED
        self.ledger.move(carried, Account.IN_FLIGHT, Account.CORRECTED if corrected else Account.REPORTED)
        if self.current is None:
            return
        if queued and self.task_work is None:
            self.task_work = []
        if synchronous and not queued:
            self.force_sigbus(self.current)  # "synchronous unrecoverable error (SIGBUS)"

    def _want_failure(self, want: PageFailure, carried: int) -> tuple[bool, int]:
        """Queue one page; returns whether it was queued, and what is still carried."""
        if self.behaviour.checks_pfn and self.config.memory_map.page_of(want.address).kind is PageKind.OUTSIDE:
            return False, carried  # "Invalid address in generic error data"
        required = want.flags is Flag.ACTION_REQUIRED and self.current is not None
        if required and self.behaviour.failure_in_task_work:
            self.task_work = [*(self.task_work or ()), (want.address, carried)]
        else:
            self.failure.queue(want.address, want.flags, carried)
        return True, 0

    def fatal_record(self, carried: int) -> None:
        """A fatal record was read."""
        self.ledger.move(carried, Account.IN_FLIGHT, Account.REPORTED)
        self.panic(PANIC_TEXT)

    def hang(self) -> None:
        """The kernel never comes back from a block; the lock that it holds stops every other source."""
        self.stopped = True
        self.ask.kernel_hung()

    def panic(self, reason: str) -> None:
        """The kernel stops."""
        self.stopped = True
        self.ask.publish(KernelPanicked, self.level, reason, self.guest)
        self.ask.kernel_down()

    def claim_sea(self, sources: Iterable[ErrorSource], task: Task | None, *, irqs_enabled: bool = True) -> int:
        """apei_claim_sea(): 0 when one of the SEA sources had a record; it is processed at once.

        A kernel that stopped at one source does nothing more, not even with what it had queued before.
        """
        claimed = -ENOENT
        for source in sources:
            if self.reader.nmi(source) == 0:
                claimed = 0
            if self.stopped:
                return claimed
        if claimed:
            return claimed
        if not irqs_enabled:
            return -EINPROGRESS  # "APEI work queued but not completed"
        self.current = task
        self.reader.irq_work()
        self.current = None
        return 0

    def return_to_user(self, task: Task) -> None:
        """Before the interrupted task goes on: task work, which kills it where nothing else helps.

        Where the last section of a record queued nothing, the queue is left to the worker, and the task that met
        the error is not the one it runs in. What was added last runs first; a kernel that has task work of its own
        for each address leaves the queue to the worker in any case.
        """
        work, self.task_work = self.task_work, None
        for address, carried in reversed(work or ()):
            error = self.failure.fail(address, Flag.ACTION_REQUIRED, carried, task)
            if error not in (0, -EHWPOISON):
                self.force_sigbus(task)
        if work is not None and self._failure is not None and not self.behaviour.failure_in_task_work:
            self._failure.work(task)
        self.sigbus_pending = False

    def force_sigbus(self, task: Task, page: Page | None = None, address: int = 0) -> None:
        """The running task gets SIGBUS for a page, or without an address.

        Until it goes on the signal is pending, and Linux keeps one of a kind: a further one is dropped.
        """
        if self.sigbus_pending:
            return
        self.sigbus_pending = True
        if page is None:
            self.ask.force_signal(None, task)
        else:
            self.ask.sigbus(page, address, SignalCode.BUS_MCEERR_AR)

    def failure_work(self) -> None:
        """memory_failure's worker."""
        if self._failure is not None:
            self._failure.work()

    def unclaimed_sea(self, esr: int, task: Task | None, far: int = 0, *, in_interrupt: bool = False) -> None:
        """do_sea() when APEI did not claim it: a signal for a task, die() for the kernel itself."""
        signal = SEA_SIGNALS[esr & DFSC_MASK]
        if task is not None:
            self.ask.force_signal(signal, task, signal_address(signal, esr, far))
            return
        reason = oops_panic(signal.name, in_interrupt=in_interrupt, panic_on_oops=self.config.panic_on_oops)
        if reason is not None:
            self.panic(reason)
        else:
            self.ask.publish(TaskKilled, self.level, signal.name, self.guest)
            self.ask.task_killed()

    def publish_sigbus(self, page: Page, address: int, code: SignalCode, *, touched: bool = False) -> None:
        """SIGBUS for a page: to the VMM when it is a guest's RAM, else to an application.

        Its address is that of the page, unless a task ``touched`` a page it had lost: then it is the very byte.
        """
        receiver = Receiver.VMM if page.kind is PageKind.GUEST else Receiver.APPLICATION
        subject = page.owner if receiver is Receiver.VMM else self.guest
        size = address_lsb(page)
        if page.kind is PageKind.HUGE and self.behaviour.huge_by_head and not touched:
            address &= -1 << size
        where = user_address(page, address)
        if touched and receiver is Receiver.APPLICATION:
            where |= address & PAGE_SIZE - 1
        self.ask.publish(SignalSent, self.level, receiver, Signal.SIGBUS, code, where, size, subject)

    def publish_signal(self, signal: SeaSignal | None, task: Task, address: int) -> None:
        """A task gets the signal of an abort; None: SIGBUS that says nothing but that the kernel sent it."""
        name = Signal.SIGBUS if signal is None else signal.signal
        code = SignalCode.SI_KERNEL if signal is None else signal.code
        receiver = Receiver.APPLICATION if task.owner == NO_GUEST else Receiver.VMM
        subject = self.guest if task.owner == NO_GUEST else task.owner
        self.ask.publish(SignalSent, self.level, receiver, name, code, address, 0, subject)

    def take_serror(self, esr: int) -> bool:
        """do_serror(): True when the kernel goes on."""
        if classify_serror(esr) is SErrorVerdict.GOES_ON:
            self.ask.publish(SyndromeSwallowed, self.level, esr, self.guest)
            return True
        self.panic(SERROR_PANIC)
        return False

    def made(self) -> tuple[GhesReader | None, MemoryFailure | None]:
        """Its reader and its memory_failure; None for one that was not needed yet."""
        return self._reader, self._failure

    def release(self) -> None:
        """It runs no more: let go of its parts, which hold on to it."""
        self._reader = self._failure = None

    def carried(self) -> int:
        """Occurrences inside this kernel; for the accounting check."""
        return sum(part.carried() for part in self.made() if part is not None) + sum(
            c for _, c in self.task_work or ()
        )

"""The host's kernel: it reads what firmware left (firmware-first) or the error records themselves (kernel-first).

Sources: Linux drivers/acpi/apei/ghes.c (notification handlers), drivers/firmware/arm_sdei.c,
arch/arm64/kernel/{traps,acpi}.c; the AEST driver series "RAS: AEST" (not in mainline) for kernel-first.
"""

from typing import ClassVar, Final, Protocol

from nodes.apei.source import ErrorSource, Sources
from nodes.events import NO_GUEST, Event, Level, RecordCleared, SignalCode
from nodes.hardware.board import Board
from nodes.hardware.record import AV
from nodes.ledger import Account
from nodes.linux.kernel import KernelConfig, LinuxKernel
from nodes.linux.memory_failure import FAILURE_NS, Flag, Task
from nodes.linux.pages import Page, PageKind
from nodes.linux.traps import SERROR_PANIC, SeaSignal
from nodes.policy import Aest
from nodes.spec.err import ErrAddr, V, error_state
from nodes.spec.hest import NotificationType
from nodes.spec.severity import ErrorState

IRQ_WORK_NS: Final = 5_000  # from the NMI-like handler to irq_work; assumed
AEST_NS: Final = 3_000  # from the interrupt to the AEST driver's handler; assumed
HED_TYPES: Final = (NotificationType.GSIV, NotificationType.GPIO, NotificationType.SCI)
HOST_TASK: Final = Task(owner=NO_GUEST)
_PANICS: Final = frozenset((ErrorState.UC, ErrorState.UEU))
_FAILS_PAGE: Final = frozenset((ErrorState.UER, ErrorState.UEO, ErrorState.DE))


class Neighbours(Protocol):
    """What the host's kernel asks of the machine and of its tasks."""

    @property
    def now(self) -> int:
        """Virtual time, ns."""

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""

    def host_failure_work_later(self, delay_ns: int) -> None:
        """Run memory_failure's worker soon."""

    def poll_later(self, source_id: int) -> None:
        """Look at a polled source at its next interval."""

    def vmm_signalled(self, page: Page, address: int, code: SignalCode) -> None:
        """A VMM got SIGBUS for a page of its guest."""

    def vmm_killed(self, guest: int) -> None:
        """A VMM got a signal that it does not survive."""

    def task_signalled(self) -> None:
        """A task of the host is gone for an error that it met."""

    def host_down(self) -> None:
        """The host's kernel panicked."""

    def host_hung(self) -> None:
        """The host's kernel loops for ever."""


class HostKernel:
    """The kernel of one host."""

    __slots__ = ("aest", "ask", "board", "down", "linux", "sources")
    __deletable__: ClassVar[list[str]] = ["linux"]  # for the compiler; see retire()

    def __init__(self, ask: Neighbours, board: Board, config: KernelConfig, sources: Sources, aest: Aest) -> None:
        self.ask = ask
        self.board = board
        self.sources = sources
        self.aest = aest
        self.down = False
        self.linux = LinuxKernel(self, board.ledger, config)

    @property
    def now(self) -> int:
        """Virtual time, ns."""
        return self.ask.now

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""
        self.ask.publish(kind, *fields)

    def schedule_failure_work(self) -> None:
        """Run memory_failure's worker soon."""
        self.ask.host_failure_work_later(FAILURE_NS)

    def page_taken(self, first: int, size: int) -> None:
        """A page was taken away: poison in it will never be read."""
        if self.board.poison:
            self.board.forget_page(first, size)

    def sigbus(self, page: Page, address: int, code: SignalCode, *, touched: bool = False) -> None:
        """A task of the host gets SIGBUS; a VMM's page is one of its guest."""
        self.linux.publish_sigbus(page, address, code, touched=touched)
        if page.kind is PageKind.GUEST:
            self.ask.vmm_signalled(page, address, code)
        else:
            self.ask.task_signalled()

    def touched(self, address: int) -> bool:
        """A task touches an address: True when it lost that page and gets SIGBUS."""
        if not self.linux.lost(address):
            return False
        page = self.linux.config.memory_map.page_of(address)
        self.sigbus(page, address, SignalCode.BUS_MCEERR_AR, touched=True)
        return True

    def force_signal(self, signal: SeaSignal | None, task: Task, address: int = 0) -> None:
        """The running task gets the signal of an abort."""
        self.linux.publish_signal(signal, task, address)
        if task.owner != NO_GUEST:
            self.ask.vmm_killed(task.owner)
        else:
            self.ask.task_signalled()

    def task_killed(self) -> None:
        """A kernel oops ended the task that ran."""
        self.ask.task_signalled()

    def kernel_down(self) -> None:
        """The kernel panicked."""
        self.down = True
        self.ask.host_down()

    def kernel_hung(self) -> None:
        """The kernel loops for ever: sooner or later every CPU waits for it."""
        self.down = True
        self.ask.host_hung()

    def notified(self, source: ErrorSource) -> None:
        """Firmware notified the kernel of a source, or left a block where it polls."""
        if self.down:
            return
        if source.kind.notification is NotificationType.SDEI:
            self.linux.reader.nmi(source)
        elif source.kind.notification in HED_TYPES:
            self.hardware_error_device()
        elif source.kind.notification is NotificationType.POLLED:
            self.ask.poll_later(source.kind.source_id)
        elif source.kind.notification is NotificationType.EXTERNAL:
            self.linux.reader.proc(source)

    def hardware_error_device(self) -> None:
        """PNP0C33 was notified: every source that tells that way is looked at."""
        for source in self.sources.with_notification(*HED_TYPES):
            if not self.down:
                self.linux.reader.proc(source)

    def poll(self, source_id: int) -> None:
        """The poll timer of a source."""
        source = self.sources.source(source_id)
        if source is not None and not self.down:
            self.linux.reader.proc(source)

    def irq_work(self) -> None:
        """irq_work: process what NMI-like handlers queued."""
        if not self.down:
            self.linux.reader.irq_work()

    def failure_work(self) -> None:
        """memory_failure's worker."""
        if not self.down:
            self.linux.failure_work()

    def claim_sea(self, task: Task | None) -> bool:
        """apei_claim_sea(): True when an error source told of this abort."""
        return self.linux.claim_sea(self.sources.with_notification(NotificationType.SEA), task) == 0

    def sea(self, esr: int, task: Task | None, far: int = 0) -> None:
        """An abort was taken to EL2 from a task of the host, or from the kernel itself (``task`` None)."""
        if self.down:
            return
        if task is not None and self.claim_sea(task):
            self.linux.return_to_user(task)
        elif not self.down:
            self.linux.unclaimed_sea(esr, task, far)

    def serror(self, esr: int) -> bool:
        """An SError was taken to EL2 while the host itself ran. True when the kernel goes on."""
        return not self.down and self.linux.take_serror(esr)

    def serror_panic(self) -> None:
        """The classifier panics the kernel even when KVM asks it."""
        self.linux.panic(SERROR_PANIC)

    def boot(self) -> None:
        """ghes_probe(): every source is looked at once, so records left before are consumed now."""
        self.down = False
        self.linux.release()
        self.linux = LinuxKernel(self, self.board.ledger, self.linux.config)
        for source in self.sources.made:
            if not self.down:
                self.linux.reader.proc(source)

    def retire(self) -> None:
        """Another kernel takes over: let go of everything, so that its memory is free at once."""
        self.linux.release()
        del self.linux

    def ras_interrupt(self, node: int) -> None:
        """The AEST driver's handler: read, log, act, clear, set the counter up again."""
        record = self.board.record_of(node)
        status = record.status
        if self.down or self.aest is Aest.NONE or not status & V:
            return
        state = error_state(status)
        address = record.addr if status & AV else None
        record.write_status(status, self.board.setup.record_format)
        self.board.preload(record)
        self.publish(RecordCleared, Level.HYPERVISOR, node, status)
        if state in _PANICS:
            self.board.take_carried(node, Account.REPORTED)
            self.linux.panic("AEST: uncontainable or unrecoverable error")
        elif state in _FAILS_PAGE and address is not None and not address & ErrAddr.AI.mask:
            carried = self.board.hand_over(node)
            self.linux.failure.queue(address & ErrAddr.PADDR.mask, Flag.NONE, carried)
        else:
            self.board.take_carried(node, Account.CORRECTED if state <= ErrorState.CE else Account.REPORTED)
        self.board.handled(node)

    def carried(self) -> int:
        """Occurrences inside this kernel; for the accounting check."""
        return self.linux.carried()

"""A guest's kernel: the SError rules, aborts, the reader of its own error sources.

"UEU in a guest" is decided by nodes.linux.traps.SERROR_RULE, asked here in ``serror``.

Sources: as nodes.linux; arch/arm64/kernel/entry-common.c; the flow description (e), (f). The alternative "on
demand" has no consumer in Linux: the kernel would call firmware from task work, since it cannot from an abort.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from nodes.apei.qemu_tables import NOTIFICATIONS
from nodes.apei.source import ErrorSource, SourceKind
from nodes.events import CallFailed, Event, GuestSeaTaken, Level, RecordLost, SignalCode, VirtualSErrorTaken
from nodes.ledger import Account, Ledger
from nodes.linux.kernel import KernelConfig, LinuxKernel
from nodes.linux.memory_failure import FAILURE_NS, Task
from nodes.linux.pages import Page
from nodes.linux.traps import SeaSignal
from nodes.spec.aarch64 import ExceptionClass
from nodes.spec.hest import NotificationType
from nodes.spec.mm import MmReturn
from nodes.spec.syndrome import abort_esr

CALL_NS: Final = 400_000  # one call of firmware that calls into QEMU (on demand); assumed
DEADLINE: Final = 0  # in place of a code: the call did not come back in time; there is no BUSY code
_LOST_AS: Final = {  # how a record is lost whose call ends so before it began
    DEADLINE: Account.LOST_DEADLINE_EXPIRED,
    MmReturn.DENIED: Account.LOST_CALL_DENIED,
    MmReturn.NOT_SUPPORTED: Account.LOST_CALL_NOT_SUPPORTED,
}
GUEST_TASK: Final = Task(owner=-1)


class Neighbours(Protocol):
    """What a guest's kernel asks of the machine that its VMM made."""

    @property
    def now(self) -> int:
        """Virtual time, ns."""

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""

    @property
    def ledger(self) -> Ledger:
        """The guests' ledger."""

    @property
    def guest_config(self) -> KernelConfig:
        """How guests' kernels are built."""

    def guest_failure_work_later(self, guest: int, delay_ns: int) -> None:
        """Run memory_failure's worker soon."""

    def guest_call_later(self, guest: int, delay_ns: int) -> None:
        """A call of the guest's firmware returns soon."""

    def guest_unmasks(self, guest: int) -> None:
        """The guest's abort handler unmasks SErrors as they were before: one that is pending is taken there."""

    def guest_lost_task(self, guest: int) -> None:
        """The task that ran in the guest is gone."""

    def guest_down(self, guest: int) -> None:
        """The guest's kernel panicked."""


def _abort_esr(el: int, *, far_valid: bool) -> int:
    return abort_esr(ExceptionClass.DABT_CURRENT if el else ExceptionClass.DABT_LOWER, far_valid=far_valid)


class GuestKernel:
    """The kernel of one guest."""

    __slots__ = ("acknowledges", "ask", "calling", "down", "guest", "linux", "waits")

    def __init__(self, ask: Neighbours, guest: int) -> None:
        self.ask = ask
        self.guest = guest
        self.acknowledges = True  # it looks at its error sources at all
        self.calling = False  # a call of its firmware has not returned
        self.waits = False  # the task that met the error waits for that call
        self.down = False
        self.linux: LinuxKernel | None = None

    def running(self) -> LinuxKernel:
        """The kernel, made when something concerns it."""
        if self.linux is None:
            self.linux = LinuxKernel(self, self.ask.ledger, self.ask.guest_config, guest=self.guest)
        return self.linux

    @property
    def now(self) -> int:
        """Virtual time, ns."""
        return self.ask.now

    def publish(self, kind: type[Event], *fields: object) -> None:
        """A fact leaves the host."""
        self.ask.publish(kind, *fields)

    def schedule_failure_work(self) -> None:
        """Run memory_failure's worker soon."""
        self.ask.guest_failure_work_later(self.guest, FAILURE_NS)

    def page_taken(self, first: int, size: int) -> None:
        """Poison is the host's affair."""

    def sigbus(self, page: Page, address: int, code: SignalCode) -> None:
        """A task of the guest gets SIGBUS."""
        self.running().publish_sigbus(page, address, code)
        self.ask.guest_lost_task(self.guest)

    def force_signal(self, signal: SeaSignal | None, task: Task, address: int = 0) -> None:
        """The running task gets the signal of an abort."""
        self.running().publish_signal(signal, task, address)
        self.ask.guest_lost_task(self.guest)

    def task_killed(self) -> None:
        """A kernel oops ended the task that ran."""
        self.ask.guest_lost_task(self.guest)

    def kernel_down(self) -> None:
        """The kernel panicked."""
        self.down = True
        self.ask.guest_down(self.guest)

    def kernel_hung(self) -> None:
        """The kernel loops for ever."""
        self.down = True
        self.ask.guest_lost_task(self.guest)

    def serror(self, esr: int, el: int, carried: int) -> None:
        """The guest takes a virtual SError; one that has panicked no longer cares."""
        if self.down:
            self.ask.ledger.move(carried, Account.IN_FLIGHT, Account.LOST_GUEST_GONE)
            return
        self.publish(VirtualSErrorTaken, self.guest, el, esr)
        goes_on = self.running().take_serror(esr)
        self.ask.ledger.move(carried, Account.IN_FLIGHT, Account.SWALLOWED if goes_on else Account.REPORTED)

    def serror_deferred(self, carried: int) -> None:
        """An ESB of the guest put a virtual SError into VDISR_EL2, which Linux does not look at."""
        self.ask.ledger.move(carried, Account.IN_FLIGHT, Account.SWALLOWED)

    def vmm_abort(self, el: int, sources: Iterable[ErrorSource]) -> bool:
        """The guest takes an abort whose registers the VMM wrote, FAR not valid; True when the kernel goes on."""
        self._abort(el, _abort_esr(el, far_valid=False), sources)
        return not self.down

    def plain_abort(self, el: int, sources: Iterable[ErrorSource]) -> None:
        """The guest takes an abort that user space asked KVM for: FAR is valid, no record comes with it."""
        if self.down:
            self.ask.ledger.move(1, Account.IN_FLIGHT, Account.LOST_GUEST_GONE)
            return
        self.ask.ledger.move(1, Account.IN_FLIGHT, Account.REPORTED)
        self._abort(el, _abort_esr(el, far_valid=True), sources)

    def _abort(self, el: int, esr: int, sources: Iterable[ErrorSource]) -> None:
        """do_sea(): from a task APEI may claim it; from the kernel nothing does, and records stay unread.

        Before it, el1_abort() and el0_da() restore PSTATE.A, which taking the exception had set.
        """
        self.publish(GuestSeaTaken, self.guest, el, esr, 0)
        self.ask.guest_unmasks(self.guest)
        if self.down:
            return
        linux = self.running()
        task = None if el else GUEST_TASK
        if task is not None and self.acknowledges and linux.claim_sea(sources, task) == 0:
            linux.return_to_user(task)
        elif not self.down:
            linux.unclaimed_sea(esr, task)

    def notified(self, source: ErrorSource) -> None:
        """An interrupt told of a source (GPIO: the hardware error device)."""
        if not self.down and self.acknowledges and source.kind.notification is not NotificationType.SEA:
            self.running().reader.proc(source)

    def abort_on_demand(self, el: int, *, masked: bool, answered: bool) -> Account | None:
        """An abort whose record must be asked for: how that is lost; None: it waits to be asked for.

        From an abort nobody may call firmware, so task work does it; where SErrors are masked the call is denied,
        and while another one runs it never comes back in time. A kernel that does not look never asks, and one
        without firmware (``answered``) has nothing to call.
        """
        esr = _abort_esr(el, far_valid=False)
        self.publish(GuestSeaTaken, self.guest, el, esr, 0)
        failed: int | None = None
        if not answered:
            failed = MmReturn.NOT_SUPPORTED
        elif self.calling:
            failed = DEADLINE
        elif masked or el:
            failed = MmReturn.DENIED
        elif self.acknowledges:
            self.waits = True
            self.call_again()
            return None
        if failed is not None:
            self.publish(CallFailed, Level.GUEST_KERNEL, failed, self.guest)
        self.running().unclaimed_sea(esr, None if el else GUEST_TASK)
        return None if failed is None else _LOST_AS[failed]

    def notified_on_demand(self, *, answered: bool) -> Account | None:
        """An interrupt told of a record that must be asked for: its work item calls, which is allowed there."""
        if self.down or not self.acknowledges:
            return None
        if not answered:
            self.publish(CallFailed, Level.GUEST_KERNEL, MmReturn.NOT_SUPPORTED, self.guest)
            return Account.LOST_CALL_NOT_SUPPORTED
        if not self.calling:  # the one that runs brings it too
            self.call_again()
        return None

    def call_again(self) -> None:
        """Call firmware, which returns later."""
        if not self.down:
            self.calling = True
            self.ask.guest_call_later(self.guest, CALL_NS)

    def lose_call(self, source_id: int, account: Account) -> None:
        """A record that could not be asked for is gone."""
        self.ask.ledger.move(1, Account.IN_FLIGHT, account)
        self.publish(RecordLost, Level.GUEST_KERNEL, source_id, account, self.guest)

    def call_returned(self, code: MmReturn, records: tuple[tuple[int, bytes], ...]) -> None:
        """The call brought these: source id and block. A task whose record found no room is killed."""
        self.calling = False
        for source_id, block in records:
            if self.down:  # of the one before it
                self.ask.ledger.move(1, Account.IN_FLIGHT, Account.LOST_GUEST_GONE)
            else:
                self._process(source_id, block)
        if code:
            self.publish(CallFailed, Level.GUEST_KERNEL, code, self.guest)
        if code is MmReturn.NO_MEMORY and self.waits:
            self.running().unclaimed_sea(_abort_esr(0, far_valid=False), GUEST_TASK)
        if code is not MmReturn.INVALID_PARAMETER:  # of another's record, the next call brings the task's own
            self.waits = False

    def _process(self, source_id: int, block: bytes) -> None:
        """What an abort told of in the task that met it, what an interrupt told of as from any other source."""
        linux = self.running()
        source = ErrorSource(SourceKind(source_id, NOTIFICATIONS[source_id], block_size=len(block)))
        source.write(block, 1)
        if source.kind.notification is not NotificationType.SEA:
            linux.reader.proc(source)
        elif linux.claim_sea((source,), GUEST_TASK) == 0:
            linux.return_to_user(GUEST_TASK)

    def failure_work(self) -> None:
        """memory_failure's worker."""
        if self.linux is not None and not self.down:
            self.linux.failure_work()

    def touched(self, address: int) -> bool:
        """A task touches a guest physical address: True when it lost that page and gets SIGBUS."""
        if self.linux is None or not self.linux.lost(address):
            return False
        page = self.linux.config.memory_map.page_of(address)
        self.linux.publish_sigbus(page, address, SignalCode.BUS_MCEERR_AR, touched=True)
        self.ask.guest_lost_task(self.guest)
        return True

    def reset(self) -> int:
        """The guest boots again: page states, caches and queues are new. Returns what was carried."""
        carried = self.carried()
        if self.linux is not None:
            self.linux.release()
            self.linux = None
        self.calling = self.waits = self.down = False
        return carried

    def carried(self) -> int:
        """Occurrences inside this kernel; for the accounting check."""
        return self.linux.carried() if self.linux is not None else 0

"""Linux's memory_failure: take a page away, and tell the tasks that use it.

Sources: Linux mm/memory-failure.c (memory_failure(), memory_failure_queue(), hwpoison_user_mappings(),
action_result(), collect_procs(), kill_procs(), kill_accessing_process(), check_hwpoisoned_entry(), me_huge_page(),
soft_offline_page()) of 6.1.192 and 6.12.117.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from nodes.events import PageOfflined, RecordLost, SignalCode
from nodes.hardware.dram import PAGE_SHIFT
from nodes.ledger import Account
from nodes.linux.pages import HUGE_SHIFT, Page, PageKind

if TYPE_CHECKING:
    from nodes.linux.kernel import LinuxKernel

FIFO_SIZE: Final = 16  # entries; MEMORY_FAILURE_FIFO_ORDER 4. A further one is dropped with a message
FAILURE_NS: Final = 50_000  # from memory_failure_queue() to its worker; assumed
NO_SOURCE: Final = -1  # the queue does not know which error source a page came from
EHWPOISON: Final = 133
EBUSY: Final = 16
ENXIO: Final = 6


class Flag(IntEnum):
    """How memory_failure is called; no two at once."""

    NONE = 0
    ACTION_REQUIRED = 1  # the running task met the error
    SOFT_OFFLINE = 2  # nothing is lost yet


class PageType(IntEnum):
    """What memory_failure calls a page in its message."""

    RESERVED_KERNEL = 0
    DIRTY_LRU = 1
    CLEAN_LRU = 2
    FREE_BUDDY = 3
    HUGE = 4
    UNKNOWN = 5
    GET_HWPOISON = 6
    ALREADY_POISONED = 7
    OUTSIDE = 8  # "memory outside kernel control"; no action result


PAGE_TYPE_TEXT: Final = (  # index: PageType
    "reserved kernel page",
    "dirty LRU page",
    "clean LRU page",
    "free buddy page",
    "huge page",
    "unknown page",
    "get hwpoison page",
    "already poisoned page",
    "memory outside kernel control",
)


class ActionResult(IntEnum):
    """How it ended."""

    IGNORED = 0
    FAILED = 1
    DELAYED = 2
    RECOVERED = 3


def result_line(pfn: int, page_type: PageType, result: ActionResult) -> str:
    """What action_result() prints; an address outside memory has no action, and a line of its own."""
    said = PAGE_TYPE_TEXT[page_type]
    if page_type is not PageType.OUTSIDE:
        said = f"recovery action for {said}: {result.name.capitalize()}"
    return f"Memory failure: {pfn:#x}: {said}"


class Action(NamedTuple):
    """What happens to a page of one kind."""

    page_type: PageType
    result: ActionResult
    unmaps: bool  # tasks lose the page for good
    kills: bool  # tasks that have it mapped are signalled


ACTIONS: Final[dict[PageKind, Action]] = {
    PageKind.KERNEL: Action(PageType.UNKNOWN, ActionResult.IGNORED, unmaps=False, kills=False),
    PageKind.PINNED: Action(PageType.UNKNOWN, ActionResult.IGNORED, unmaps=False, kills=False),
    PageKind.PAGE_CACHE_CLEAN: Action(PageType.CLEAN_LRU, ActionResult.RECOVERED, unmaps=False, kills=False),
    PageKind.PAGE_CACHE_DIRTY: Action(PageType.DIRTY_LRU, ActionResult.RECOVERED, unmaps=True, kills=True),
    PageKind.APPLICATION: Action(PageType.DIRTY_LRU, ActionResult.RECOVERED, unmaps=True, kills=True),
    PageKind.HUGE: Action(PageType.HUGE, ActionResult.RECOVERED, unmaps=True, kills=True),
    PageKind.GUEST: Action(PageType.DIRTY_LRU, ActionResult.RECOVERED, unmaps=True, kills=True),
    PageKind.FREE: Action(PageType.FREE_BUDDY, ActionResult.RECOVERED, unmaps=False, kills=False),
}


class Task(NamedTuple):
    """The task in whose context memory_failure runs, as far as it matters."""

    owner: int  # guest whose vCPU thread it is; -1: an ordinary task


_NO_FRAMES: Final[dict[int, bool]] = {}  # shared, never changed in place
_HUGE_PAGES: Final = 1 << HUGE_SHIFT - PAGE_SHIFT  # of 4 KiB in a huge one
_MAPPED_BY_TASKS: Final = frozenset(
    (PageKind.APPLICATION, PageKind.HUGE, PageKind.PINNED, PageKind.PAGE_CACHE_DIRTY)
)  # a clean page was dropped, and a task that wants it reads the file again


class MemoryFailure:
    """memory_failure of one kernel."""

    __slots__ = ("dissolved", "fifo", "kernel", "poisoned")

    def __init__(self, kernel: "LinuxKernel") -> None:
        self.kernel = kernel
        self.fifo: tuple[tuple[int, Flag, int], ...] = ()  # address, flags, occurrences carried
        self.poisoned: dict[int, bool] = {}  # pfn -> whether tasks lost the page
        self.dissolved = _NO_FRAMES  # huge pages, by address >> HUGE_SHIFT -> whether tasks lost it as a whole

    def lost(self, address: int) -> bool:
        """Whether tasks lost the page behind an address: whoever touches it gets SIGBUS."""
        return self.poisoned.get(address >> PAGE_SHIFT, False) or self.dissolved.get(address >> HUGE_SHIFT, False)

    def queue(self, address: int, flags: Flag, carried: int) -> bool:
        """memory_failure_queue(): False when the queue is full; the page is then never handled."""
        kernel = self.kernel
        if len(self.fifo) >= FIFO_SIZE:
            kernel.ledger.move(carried, Account.IN_FLIGHT, Account.LOST_FIFO_FULL)
            kernel.ask.publish(RecordLost, kernel.level, NO_SOURCE, Account.LOST_FIFO_FULL, kernel.guest)
            return False
        self.fifo = (*self.fifo, (address, flags, carried))
        kernel.ask.schedule_failure_work()
        return True

    def work(self, current: Task | None = None) -> None:
        """The worker, or the running task before it returns to user space, empties the queue."""
        while self.fifo:
            (address, flags, carried), *rest = self.fifo
            self.fifo = tuple(rest)
            if flags is Flag.SOFT_OFFLINE:
                self.soft_offline(address, carried)
            else:
                self.fail(address, flags, carried, current)

    def fail(self, address: int, flags: Flag, carried: int, current: Task | None = None) -> int:
        """memory_failure(): returns 0 or a negative error as the kernel does."""
        kernel = self.kernel
        kernel.ledger.move(carried, Account.IN_FLIGHT, Account.REPORTED)
        pfn = address >> PAGE_SHIFT
        page = kernel.config.memory_map.page_of(address)
        if page.kind is PageKind.OUTSIDE:
            self._result(pfn, PageType.OUTSIDE, ActionResult.IGNORED)
            return -ENXIO
        if pfn in self.poisoned:
            return self._again(page, address, flags, current)
        action = self._action(page, address)
        self.poisoned[pfn] = action.unmaps
        if page.kind is PageKind.HUGE:
            self._dissolve(address, lost=True)
        if action.kills:
            self._kill(page, address, flags, current)
        page_type = action.page_type
        if page_type is PageType.UNKNOWN and kernel.behaviour.names_get_hwpoison:
            page_type = PageType.GET_HWPOISON
        if action.result is ActionResult.RECOVERED:
            kernel.ask.page_taken(pfn << PAGE_SHIFT, 1 << PAGE_SHIFT)
        self._result(pfn, page_type, action.result)
        return 0 if action.result >= ActionResult.DELAYED else -EBUSY

    def _action(self, page: Page, address: int) -> Action:
        """A huge page that was lost or moved has been dissolved: its other pages are free ones."""
        return ACTIONS[PageKind.FREE if address >> HUGE_SHIFT in self.dissolved else page.kind]

    def _dissolve(self, address: int, *, lost: bool) -> None:
        self.dissolved = {address >> HUGE_SHIFT: lost, **self.dissolved}

    def _again(self, page: Page, address: int, flags: Flag, current: Task | None) -> int:
        """The page is already poisoned: with action required, the task that has it mapped gets its signal."""
        if flags is Flag.ACTION_REQUIRED and current is not None and self._finds(page, address, current):
            self.kernel.force_sigbus(current, page, address)
        if self.kernel.behaviour.acts_on_repoisoned:
            self._result(address >> PAGE_SHIFT, PageType.ALREADY_POISONED, ActionResult.FAILED)
        return -EHWPOISON

    def _finds(self, page: Page, address: int, task: Task) -> bool:
        """kill_accessing_process(): whether a poisoned page still stands in the tables of a task.

        It does where the task lost it, or where nobody could take it away; not where its contents were moved.
        """
        if not _maps(page, task):
            return False
        is_huge = page.kind is PageKind.HUGE
        if is_huge and self.kernel.behaviour.huge_by_head and (address >> PAGE_SHIFT) % _HUGE_PAGES:
            return False
        return self.lost(address) or not ACTIONS[page.kind].unmaps

    def _kill(self, page: Page, address: int, flags: Flag, current: Task | None) -> None:
        """The running task gets BUS_MCEERR_AR; a VMM asked to be told early and gets BUS_MCEERR_AO.

        Any other task hears nothing until it touches the page.
        """
        if flags is Flag.ACTION_REQUIRED and current is not None and _maps(page, current):
            self.kernel.force_sigbus(current, page, address)
        elif page.kind is PageKind.GUEST:
            self.kernel.ask.sigbus(page, address, SignalCode.BUS_MCEERR_AO)

    def soft_offline(self, address: int, carried: int) -> None:
        """soft_offline_page(): move the contents elsewhere; no task notices."""
        kernel = self.kernel
        kernel.ledger.move(carried, Account.IN_FLIGHT, Account.CORRECTED)
        pfn = address >> PAGE_SHIFT
        page = kernel.config.memory_map.page_of(address)
        if page.kind is PageKind.OUTSIDE or pfn in self.poisoned:
            return
        action = self._action(page, address)
        if action.result is ActionResult.IGNORED:
            self._result(pfn, action.page_type, ActionResult.FAILED, soft=1)
            return
        self.poisoned[pfn] = False
        if page.kind is PageKind.HUGE:
            self._dissolve(address, lost=False)
        kernel.ask.page_taken(pfn << PAGE_SHIFT, 1 << PAGE_SHIFT)
        self._result(pfn, action.page_type, ActionResult.RECOVERED, soft=1)

    def _result(self, pfn: int, page_type: PageType, result: ActionResult, soft: int = 0) -> None:
        kernel = self.kernel
        kernel.ask.publish(PageOfflined, kernel.level, pfn, page_type, result, soft, kernel.guest)

    def mapped_anew(self, owner: int) -> None:
        """A VMM mapped fresh pages in place of its guest's poisoned ones (its reset, or a new process)."""
        page_of = self.kernel.config.memory_map.page_of
        for pfn in [pfn for pfn in self.poisoned if page_of(pfn << PAGE_SHIFT).owner == owner]:
            del self.poisoned[pfn]

    def carried(self) -> int:
        """Occurrences in the queue; for the accounting check."""
        return sum(carried for _, _, carried in self.fifo)


def _maps(page: Page, task: Task) -> bool:
    """Whether a task has a page mapped: a vCPU thread its guest's RAM, an ordinary task the tasks' pages."""
    if page.kind is PageKind.GUEST:
        return page.owner == task.owner
    return task.owner == -1 and page.kind in _MAPPED_BY_TASKS

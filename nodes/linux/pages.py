"""What a kernel's memory holds: who owns the page behind an address.

A memory map is a short list of ranges, the same for every host or guest of a kind; no page has state until an
error concerns it. The shares are assumed. A task sees its pages at addresses that grow with the physical ones,
which no real kernel promises, but which makes a trace readable.
"""

from bisect import bisect_right
from enum import IntEnum
from typing import Final, NamedTuple

from nodes.hardware.dram import DRAM_BASE, PAGE_SHIFT

PAGE_SIZE: Final = 1 << PAGE_SHIFT  # bytes
HUGE_SHIFT: Final = 21  # log2 of a huge page, 2 MiB
GIB: Final = 1 << 30
GUEST_BASE: Final = 0x4000_0000  # guest physical address of RAM, QEMU's virt machine
APPLICATION_VA: Final = 0x0000_AAAA_0000_0000  # user virtual address of the first application page
VMM_VA: Final = 0x0000_FFFE_0000_0000  # user virtual address of the first guest's RAM in its VMM


class PageKind(IntEnum):
    """Who owns a page."""

    OUTSIDE = 0  # no memory
    KERNEL = 1  # kernel text, slab, page tables: cannot be handled
    PAGE_CACHE_CLEAN = 2
    PAGE_CACHE_DIRTY = 3
    APPLICATION = 4  # anonymous and dirty, mapped by one task
    HUGE = 5  # a task's huge pages
    PINNED = 6  # a driver's buffer that a task has mapped: cannot be handled, and the task goes on using it
    GUEST = 7  # RAM of a virtual machine: anonymous memory of its VMM
    FREE = 8


class Page(NamedTuple):
    """The page behind an address."""

    kind: PageKind
    owner: int  # index of the guest whose RAM it is; -1: the kernel's own
    first: int  # physical address where the range of this owner begins


USER_KINDS: Final = frozenset((PageKind.APPLICATION, PageKind.HUGE, PageKind.PINNED))
_OUTSIDE: Final = Page(PageKind.OUTSIDE, -1, 0)


class MemoryMap:
    """Ranges of physical memory in ascending order."""

    __slots__ = ("_pages", "_starts", "end", "start")

    def __init__(self, start: int, ranges: list[tuple[int, PageKind, int]]) -> None:
        """``ranges``: size in bytes, kind, owner; back to back from ``start``."""
        self.start = start
        self._starts = []
        self._pages = []
        for size, kind, owner in ranges:
            self._starts.append(start)
            self._pages.append(Page(kind, owner, start))
            start += size
        self.end = start

    def page_of(self, address: int) -> Page:
        """The page that holds a physical address."""
        if not self.start <= address < self.end:
            return _OUTSIDE
        return self._pages[bisect_right(self._starts, address) - 1]

    def range_of(self, kind: PageKind, owner: int = -1) -> tuple[int, int]:
        """First address and size (bytes) of the range of a kind; (0, 0) where there is none."""
        bounds = [*self._starts[1:], self.end]
        for page, end in zip(self._pages, bounds, strict=True):
            if page.kind is kind and page.owner == owner:
                return page.first, end - page.first
        return 0, 0

    def own(self) -> tuple[int, int]:
        """First address and size (bytes) of what belongs to the kernel itself, behind its guests' RAM."""
        first = next(page.first for page in self._pages if page.owner == -1)
        return first, self.end - first


def _own_ranges(size: int) -> list[tuple[int, PageKind, int]]:
    """What a kernel does with memory of its own, in eighths."""
    part = size // 8
    return [
        (part, PageKind.KERNEL, -1),
        (part, PageKind.PAGE_CACHE_CLEAN, -1),
        (part, PageKind.PAGE_CACHE_DIRTY, -1),
        (part * 2, PageKind.APPLICATION, -1),
        (part // 2, PageKind.HUGE, -1),
        (part // 2, PageKind.PINNED, -1),
        (part * 2, PageKind.FREE, -1),
    ]


def host_map(memory_gib: int, guests: int, guest_memory_gib: int) -> MemoryMap:
    """Memory of a host: its guests' RAM first, then what its own kernel uses."""
    own = (memory_gib - guests * guest_memory_gib) * GIB
    assert own >= GIB, "a host needs memory of its own"
    ranges = [(guest_memory_gib * GIB, PageKind.GUEST, guest) for guest in range(guests)]
    return MemoryMap(DRAM_BASE, ranges + _own_ranges(own))


def guest_map(memory_gib: int) -> MemoryMap:
    """Memory of a guest, in guest physical addresses."""
    return MemoryMap(GUEST_BASE, _own_ranges(memory_gib * GIB))


def user_address(page: Page, address: int) -> int:
    """Where the task that owns a page has it mapped: the address of the page, not of the byte."""
    base = VMM_VA if page.kind is PageKind.GUEST else APPLICATION_VA
    return base + (address - page.first & ~(PAGE_SIZE - 1))


def address_lsb(page: Page) -> int:
    """log2 of the mapping's size, as si_addr_lsb tells it."""
    return HUGE_SHIFT if page.kind is PageKind.HUGE else PAGE_SHIFT

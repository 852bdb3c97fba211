"""What memory_failure does with a page, and whom it tells."""

import pytest

from nodes.events import PageOfflined, RecordLost
from nodes.ledger import Account
from nodes.linux.memory_failure import (
    ACTIONS,
    EBUSY,
    EHWPOISON,
    ENXIO,
    FIFO_SIZE,
    PAGE_TYPE_TEXT,
    ActionResult,
    Flag,
    PageType,
    Task,
)
from nodes.linux.pages import PageKind
from nodes.policy import Kernel
from tests.doubles import accounts, kernel, page

HUGE_SIZE = 1 << 21
APPLICATION, VCPU, OTHER_VCPU = Task(owner=-1), Task(owner=0), Task(owner=1)
GET_HWPOISON = {Kernel.V6_1: "unknown page", Kernel.V6_12: "get hwpoison page", Kernel.V6_19: "get hwpoison page"}
OUTCOMES = {  # page type, result and return value of memory_failure(), as the kernels name them
    PageKind.KERNEL: (None, "IGNORED", -EBUSY),
    PageKind.PINNED: (None, "IGNORED", -EBUSY),
    PageKind.PAGE_CACHE_CLEAN: ("clean LRU page", "RECOVERED", 0),
    PageKind.PAGE_CACHE_DIRTY: ("dirty LRU page", "RECOVERED", 0),
    PageKind.APPLICATION: ("dirty LRU page", "RECOVERED", 0),
    PageKind.HUGE: ("huge page", "RECOVERED", 0),
    PageKind.GUEST: ("dirty LRU page", "RECOVERED", 0),
    PageKind.FREE: ("free buddy page", "RECOVERED", 0),
    PageKind.OUTSIDE: ("memory outside kernel control", "IGNORED", -ENXIO),
}
LOST_BY_TASKS = {PageKind.PAGE_CACHE_DIRTY, PageKind.APPLICATION, PageKind.HUGE, PageKind.GUEST}
kernels = pytest.mark.parametrize("version", list(Kernel))
kinds = pytest.mark.parametrize("kind", list(PageKind), ids=lambda kind: kind.name)


def fail(linux, kind, flags=Flag.NONE, current=None, index=0):
    linux.ledger.inject()
    return linux.failure.fail(page(kind, index), flags, 1, current)


def results(linux):
    return [(PAGE_TYPE_TEXT[e.page_type], ActionResult(e.result).name) for e in linux.ask.of(PageOfflined)]


@kernels
@kinds
def test_each_kind_of_page_has_its_outcome(kind, version):
    linux = kernel(version)
    name, result, returned = OUTCOMES[kind]

    assert fail(linux, kind) == returned
    assert results(linux) == [(name or GET_HWPOISON[version], result)]
    assert linux.lost(page(kind)) == (kind in LOST_BY_TASKS)
    assert bool(linux.ask.taken) == (result == "RECOVERED")


def test_every_kind_of_page_has_an_action():
    assert set(ACTIONS) == set(PageKind) - {PageKind.OUTSIDE}
    assert len(PAGE_TYPE_TEXT) == len(PageType)


@kinds
def test_without_required_action_only_a_vmm_is_told_early(kind):
    linux = kernel()

    fail(linux, kind)

    told = [(kind, "BUS_MCEERR_AO")] if kind is PageKind.GUEST else []
    assert [(kind, code.name) for kind, code in linux.ask.signals] == told


@kinds
def test_with_required_action_the_task_that_has_the_page_is_told(kind):
    linux = kernel()

    fail(linux, kind, Flag.ACTION_REQUIRED, VCPU if kind is PageKind.GUEST else APPLICATION)

    told = kind in LOST_BY_TASKS
    assert [code.name for _, code in linux.ask.signals] == (["BUS_MCEERR_AR"] if told else [])


@pytest.mark.parametrize(
    ("kind", "current", "code"),
    [
        (PageKind.GUEST, OTHER_VCPU, ["BUS_MCEERR_AO"]),
        (PageKind.GUEST, APPLICATION, ["BUS_MCEERR_AO"]),
        (PageKind.GUEST, None, ["BUS_MCEERR_AO"]),
        (PageKind.APPLICATION, VCPU, []),
        (PageKind.APPLICATION, None, []),
    ],
)
def test_required_action_of_another_task_is_not_required_of_the_one_that_has_the_page(kind, current, code):
    linux = kernel()

    fail(linux, kind, Flag.ACTION_REQUIRED, current)

    assert [code.name for _, code in linux.ask.signals] == code


@kernels
@kinds
def test_a_page_that_is_poisoned_already_is_told_by_version(kind, version):
    linux = kernel(version)
    fail(linux, kind)

    again = fail(linux, kind)

    outside = kind is PageKind.OUTSIDE
    acts = [("already poisoned page", "FAILED")] if version is not Kernel.V6_1 else []
    assert again == (-ENXIO if outside else -EHWPOISON)
    assert results(linux)[1:] == (results(linux)[:1] if outside else acts)


@pytest.mark.parametrize("kind", sorted(LOST_BY_TASKS), ids=lambda kind: kind.name)
def test_required_action_on_a_page_whose_contents_were_moved_tells_nobody(kind):
    linux = kernel()
    linux.failure.soft_offline(page(kind), 0)

    fail(linux, kind, Flag.ACTION_REQUIRED, VCPU if kind is PageKind.GUEST else APPLICATION)

    assert linux.ask.signals == []


MAPPED = LOST_BY_TASKS | {PageKind.PINNED}


@kinds
def test_required_action_on_a_poisoned_page_tells_the_task_that_can_have_it_mapped(kind):
    linux = kernel()
    fail(linux, kind)
    linux.ask.signals.clear()

    fail(linux, kind, Flag.ACTION_REQUIRED, VCPU if kind is PageKind.GUEST else APPLICATION)

    assert [code.name for _, code in linux.ask.signals] == (["BUS_MCEERR_AR"] if kind in MAPPED else [])


def test_a_lost_huge_page_is_lost_as_a_whole_and_its_other_pages_are_free_ones():
    linux = kernel()
    base = page(PageKind.HUGE)
    fail(linux, PageKind.HUGE, index=3)

    assert linux.lost(base)
    assert linux.lost(base + HUGE_SIZE - 1)
    assert not linux.lost(base + HUGE_SIZE)
    fail(linux, PageKind.HUGE, index=4)
    assert results(linux) == [("huge page", "RECOVERED"), ("free buddy page", "RECOVERED")]


def test_a_huge_page_that_was_moved_is_dissolved_and_nobody_lost_it():
    linux = kernel()
    linux.failure.soft_offline(page(PageKind.HUGE, 3), 0)

    fail(linux, PageKind.HUGE, Flag.ACTION_REQUIRED, APPLICATION, index=4)

    assert results(linux)[1:] == [("free buddy page", "RECOVERED")]
    assert linux.ask.signals == []
    assert not linux.lost(page(PageKind.HUGE, 3))


@kernels
@pytest.mark.parametrize("index", [0, 3])
def test_6_1_finds_a_lost_huge_page_again_by_its_first_page_alone(index, version):
    linux = kernel(version)
    fail(linux, PageKind.HUGE, index=index)

    fail(linux, PageKind.HUGE, Flag.ACTION_REQUIRED, APPLICATION, index=index)

    found = version is not Kernel.V6_1 or index == 0
    assert [code.name for _, code in linux.ask.signals] == (["BUS_MCEERR_AR"] if found else [])


def test_the_queue_holds_16_pages_and_a_further_one_is_never_handled():
    linux = kernel()

    queued = []
    for i in range(FIFO_SIZE + 2):
        linux.ledger.inject()
        queued.append(linux.failure.queue(page(PageKind.FREE, i), Flag.NONE, 1))
    linux.failure_work()

    assert FIFO_SIZE == 16
    assert queued == [True] * 16 + [False] * 2
    assert [event.reason for event in linux.ask.of(RecordLost)] == [Account.LOST_FIFO_FULL] * 2
    assert len(results(linux)) == 16
    assert accounts(linux.ledger) == {"REPORTED": 16, "LOST_FIFO_FULL": 2}


def test_the_worker_takes_the_pages_in_order_and_leaves_nothing():
    linux = kernel()
    for i in (5, 2, 9):
        linux.failure.queue(page(PageKind.FREE, i), Flag.NONE, 0)

    linux.failure_work()

    assert [event.pfn - (page(PageKind.FREE) >> 12) for event in linux.ask.of(PageOfflined)] == [5, 2, 9]
    assert linux.failure.fifo == ()


@kinds
def test_soft_offline_moves_a_page_that_can_be_moved_and_no_task_notices(kind):
    linux = kernel()
    linux.ledger.inject()

    linux.failure.soft_offline(page(kind), 1)

    fails = ACTIONS[kind].result is ActionResult.IGNORED if kind in ACTIONS else None
    soft = [] if fails is None else ["FAILED" if fails else "RECOVERED"]
    assert [(ActionResult(e.result).name, e.soft) for e in linux.ask.of(PageOfflined)] == [(s, 1) for s in soft]
    assert (linux.ask.signals, linux.lost(page(kind))) == ([], False)
    assert accounts(linux.ledger) == {"CORRECTED": 1}


def test_soft_offline_of_a_poisoned_page_does_nothing():
    linux = kernel()
    fail(linux, PageKind.APPLICATION)

    linux.failure.soft_offline(page(PageKind.APPLICATION), 0)

    assert len(linux.ask.of(PageOfflined)) == 1
    assert linux.lost(page(PageKind.APPLICATION))


def test_a_page_that_was_soft_offlined_is_poisoned_but_nobody_lost_it():
    linux = kernel()
    linux.failure.soft_offline(page(PageKind.APPLICATION), 0)

    assert fail(linux, PageKind.APPLICATION) == -EHWPOISON
    assert not linux.lost(page(PageKind.APPLICATION))


def test_fresh_pages_in_a_guest_are_those_of_that_guest_alone():
    linux = kernel()
    fail(linux, PageKind.GUEST)
    fail(linux, PageKind.APPLICATION)

    linux.mapped_anew(1)
    assert linux.lost(page(PageKind.GUEST))
    linux.mapped_anew(0)

    assert not linux.lost(page(PageKind.GUEST))
    assert linux.lost(page(PageKind.APPLICATION))

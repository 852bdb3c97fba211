"""A whole kernel: what real ones did with the same blocks, and what happens to the task that met an error."""

import json
import re
from pathlib import Path

import pytest

from nodes.apei.source import READ_ACK_WRITE
from nodes.events import KernelPanicked, PageOfflined, PcieRecoveryQueued, RecordLogged, RecordLost
from nodes.ledger import Account
from nodes.linux.memory_failure import PAGE_TYPE_TEXT, ActionResult, Task
from nodes.linux.pages import MemoryMap, PageKind
from nodes.policy import Kernel
from nodes.spec.hest import NotificationType
from tests.blocks import CORRECTED, FATAL, THRESHOLD, TLB, arm_entry, block_of, memory_block, memory_entry, pei
from tests.doubles import accounts, give, kernel, page, source

REAL = Path(__file__).parents[2] / "golden" / "linux_reader" / "cases.ndjson"
HOLES = re.compile("hole_in_section|arm-notinram|second-notinram")  # the model's memory has no holes
CASES = [case for case in map(json.loads, REAL.read_text().splitlines()) if not HOLES.search(case["case"])]
MIB = 1 << 20
MACHINE = MemoryMap(
    0x4000_0000,
    [(256 * MIB, PageKind.KERNEL, -1), (512 * MIB, PageKind.FREE, -1), (192 * MIB, PageKind.KERNEL, -1)],
)  # as the README of the cases describes it
REFUSED = ("Truncated error status", "Invalid error status block length", "Invalid CPER header", "Failed to read")
TASK = Task(owner=-1)
kernels = pytest.mark.parametrize("version", [Kernel.V6_1, Kernel.V6_12])
every_kernel = pytest.mark.parametrize("version", list(Kernel))


def said(lines):
    """What the lines of a real kernel say was done. A page without memory is told in a line of its own."""
    for line in lines:
        if match := re.search(r"0x([0-9a-f]+): recovery action for (.*): (\w+)", line):
            yield int(match[1], 16), match[2], match[3]
        elif "buffer overflow" in line:
            yield Account.LOST_FIFO_FULL
        elif any(text in line for text in REFUSED):
            yield Account.LOST_BLOCK_MALFORMED
        elif "Kernel panic" in line:
            yield line.split("syncing: ")[1]
    if aer := "\n".join(line for line in lines if "AER" in line):
        yield (
            "link reset"
            if "link has been reset" in aer
            else "recovery"
            if "recovery succ" in aer
            else "no recovery"
        )


def done(linux, events):
    """The same of ours. Soft offline prints nothing, and recovery of a device that is not there nothing else."""
    for event in events:
        match event:
            case PageOfflined(soft=0):
                yield event.pfn, PAGE_TYPE_TEXT[event.page_type], ActionResult(event.result).name.capitalize()
            case RecordLost():
                yield event.reason
            case KernelPanicked():
                yield event.reason
            case PcieRecoveryQueued():
                known = event.device == 1 << 3
                yield ("recovery", "link reset", "no recovery")[event.severity] if known else "no recovery"


def test_the_cases_of_real_kernels_are_there():
    assert len(CASES) == 216


@kernels
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_a_block_does_what_it_did_to_the_real_kernel(case, version):
    linux = kernel(version, memory_map=MACHINE, source_count=5)
    sources = {i: source(source_id=i, block_size=case["block_size"]) for i in range(5)}

    for step, real in zip(case["steps"], case[version], strict=False):
        linux.ask.now += int(step.get("sleep_s", 1) * 1e9)
        before = len(linux.ask.events)
        if "block" in step:
            block = bytes.fromhex(step["block"]) + bytes(step["zeros"])
            give(linux, sources[step["source"]], block[: case["block_size"]])
            linux.reader.proc(sources[step["source"]])
            linux.failure_work()
            block, ack = sources[step["source"]].block, sources[step["source"]].read_ack
            assert (int.from_bytes(block[:4], "little"), ack) == (real["status"], real["ack"])
        events = linux.ask.events[before:]
        assert sum(event.printed for event in events if isinstance(event, RecordLogged)) == real["printed"]
        assert sorted(map(str, done(linux, events))) == sorted(map(str, said(real["lines"])))


def claim(linux, *blocks):
    """A task meets an error while these blocks stand behind SEA sources; it then goes back to user space."""
    sources = [give(linux, source(NotificationType.SEA, i), block) for i, block in enumerate(blocks)]
    claimed = linux.claim_sea(sources, TASK)
    if claimed == 0:
        linux.return_to_user(TASK)
    return claimed


@every_kernel
def test_an_abort_without_a_record_is_not_claimed(version):
    linux = kernel(version)

    assert linux.claim_sea([source(NotificationType.SEA)], TASK) == -2
    assert linux.ask.events == []


@every_kernel
def test_action_required_takes_the_page_and_signals_the_task_before_it_goes_on(version):
    linux = kernel(version)

    assert claim(linux, memory_block(page(PageKind.APPLICATION))) == 0
    assert [(kind, code.name) for kind, code in linux.ask.signals] == [(PageKind.APPLICATION, "BUS_MCEERR_AR")]
    assert accounts(linux.ledger) == {"REPORTED": 1}


@every_kernel
@pytest.mark.parametrize(
    "block",
    [
        memory_block(None),
        memory_block(page(PageKind.FREE), CORRECTED),
        block_of(arm_entry(pei(TLB, page(PageKind.FREE)))),
    ],
    ids=["without an address", "corrected", "TLB"],
)
def test_a_synchronous_record_that_asks_for_no_page_kills_its_task(block, version):
    linux = kernel(version)

    assert claim(linux, block) == 0
    assert linux.ask.forced == [(None, 0)]
    assert linux.ask.of(PageOfflined) == []


def test_a_synchronous_record_of_an_invalid_address_kills_its_task():
    before, after = kernel(Kernel.V6_12), kernel(Kernel.V6_19)
    for linux in (before, after):
        claim(linux, memory_block(page(PageKind.OUTSIDE)))

    assert before.ask.forced == after.ask.forced == [(None, 0)]
    assert before.ask.of(PageOfflined) == []
    assert [event.pfn for event in after.ask.of(PageOfflined)] == [page(PageKind.OUTSIDE) >> 12]


@every_kernel
def test_the_last_section_decides_whether_the_task_is_killed_or_the_queue_emptied(version):
    asks_last, asks_first = kernel(version), kernel(version)
    queued, nothing = memory_block(page(PageKind.APPLICATION)), memory_block(None)
    entries = [block[20:] for block in (queued, nothing)]
    both = queued[:12] + (len(entries[0]) * 2).to_bytes(4, "little") + queued[16:20]

    claim(asks_last, both + entries[1] + entries[0])
    claim(asks_first, both + entries[0] + entries[1])

    assert (asks_last.ask.forced, len(asks_last.ask.signals)) == ([], 1)
    assert (asks_first.ask.forced, asks_first.ask.signals) == ([(None, 0)], [])


def two_pages(first=PageKind.APPLICATION, second=PageKind.APPLICATION):
    return block_of(memory_entry(page(first)), memory_entry(page(second, 1)))


@every_kernel
def test_a_task_that_lost_two_pages_gets_one_signal_for_it_keeps_one_pending(version):
    linux = kernel(version)

    claim(linux, two_pages())

    assert len(linux.ask.of(PageOfflined)) == 2
    assert [code.name for _, code in linux.ask.signals] == ["BUS_MCEERR_AR"]


@every_kernel
def test_the_next_abort_of_a_task_is_signalled_again(version):
    linux = kernel(version)

    for index in range(2):
        claim(linux, memory_block(page(PageKind.APPLICATION, index)))

    assert [code.name for _, code in linux.ask.signals] == ["BUS_MCEERR_AR"] * 2


def test_in_6_19_the_page_that_was_asked_for_last_is_failed_first():
    first = {}
    for version in Kernel:
        linux = kernel(version)
        claim(linux, two_pages(PageKind.APPLICATION, PageKind.HUGE))
        first[version] = linux.ask.signals[0][0]

    assert first == {
        Kernel.V6_1: PageKind.APPLICATION,
        Kernel.V6_12: PageKind.APPLICATION,
        Kernel.V6_19: PageKind.HUGE,
    }


@every_kernel
def test_in_6_19_the_queue_is_the_workers_even_when_a_task_has_work_of_its_own(version):
    linux = kernel(version)
    corrected = memory_entry(page(PageKind.FREE), CORRECTED, THRESHOLD)

    claim(linux, block_of(corrected, memory_entry(page(PageKind.APPLICATION))))

    assert [event.soft for event in linux.ask.of(PageOfflined)] == ([0] if version is Kernel.V6_19 else [1, 0])
    linux.failure_work()
    assert sorted(event.soft for event in linux.ask.of(PageOfflined)) == [0, 1]


@kernels
def test_what_the_worker_finds_later_is_nobodys_required_action(version):
    linux = kernel(version)
    sources = [give(linux, source(NotificationType.SEA), memory_block(page(PageKind.APPLICATION)))]

    linux.claim_sea(sources, TASK)
    linux.failure_work()

    assert linux.ask.signals == []
    assert len(linux.ask.of(PageOfflined)) == 1


def test_in_6_19_a_page_that_cannot_be_taken_costs_the_task_its_life_and_before_it_goes_on():
    older, newer = kernel(Kernel.V6_12), kernel(Kernel.V6_19)
    for linux in (older, newer):
        claim(linux, memory_block(page(PageKind.PINNED)))

    assert older.ask.forced == []
    assert newer.ask.forced == [(None, 0)]


@every_kernel
def test_a_fatal_record_panics_whoever_is_interrupted(version):
    linux = kernel(version)

    claim(linux, memory_block(page(PageKind.FREE), FATAL))

    assert linux.ask.down
    assert [event.reason for event in linux.ask.of(KernelPanicked)] == ["GHES: Fatal hardware error"]


@every_kernel
@pytest.mark.parametrize("fatal_at", [0, 1])
def test_a_kernel_that_panicked_at_one_source_does_nothing_with_another(fatal_at, version):
    linux = kernel(version, source_count=2)
    blocks = [memory_block(page(PageKind.APPLICATION))]
    blocks.insert(fatal_at, memory_block(page(PageKind.FREE), FATAL))

    claim(linux, *blocks)

    assert (linux.ask.of(PageOfflined), linux.ask.signals) == ([], [])
    assert accounts(linux.ledger) == {"IN_FLIGHT": 1, "REPORTED": 1}


def test_a_duplicate_abort_is_claimed_in_6_1_and_no_longer_in_6_12():
    claims = {}
    for version in Kernel:
        linux = kernel(version)
        first, second = (claim(linux, memory_block(page(PageKind.FREE))) for _ in range(2))
        claims[version] = (first, second)
        assert accounts(linux.ledger) == {"REPORTED": 1, "COALESCED": 1}

    assert claims == {Kernel.V6_1: (0, 0), Kernel.V6_12: (0, -2), Kernel.V6_19: (0, -2)}


def test_an_abort_that_interrupted_masked_code_is_not_claimed_and_its_record_waits():
    linux = kernel()
    sources = [give(linux, source(NotificationType.SEA), memory_block(page(PageKind.FREE)))]

    assert linux.claim_sea(sources, TASK, irqs_enabled=False) == -115
    assert sources[0].read_ack == READ_ACK_WRITE
    assert linux.carried() == linux.ledger[Account.IN_FLIGHT] == 1


def test_one_abort_looks_at_every_source():
    linux = kernel(source_count=2)

    assert claim(linux, memory_block(page(PageKind.FREE)), memory_block(page(PageKind.FREE, 1))) == 0
    assert [event.pfn for event in linux.ask.of(PageOfflined)] == [page(PageKind.FREE, i) >> 12 for i in range(2)]


def test_a_record_found_at_boot_waits_for_the_worker_in_6_19_too():
    linux = kernel(Kernel.V6_19)

    linux.reader.proc(give(linux, source(NotificationType.SEA), memory_block(page(PageKind.APPLICATION))))

    assert linux.task_work is None
    assert linux.carried() == 1
    linux.failure_work()
    assert accounts(linux.ledger) == {"REPORTED": 1}


def test_a_kernel_has_only_what_it_needed():
    linux = kernel()
    assert linux.made() == (None, None)

    made = linux.reader, linux.failure

    assert linux.made() == made
    linux.release()
    assert linux.made() == (None, None)

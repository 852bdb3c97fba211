"""Linux's reader of error sources: what is read, given back, printed, remembered and dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.events import KernelPanicked, PageOfflined, PcieRecoveryQueued, RecordLogged, RecordLost, RecordRead
from nodes.ledger import Account
from nodes.linux.pages import PageKind
from nodes.linux.reader import (
    CACHE_SIZE,
    CACHE_TIME_NS,
    ECANCELED,
    EIO,
    ENOENT,
    ENOMEM,
    PRINT_BURST,
    PRINT_INTERVAL_NS,
)
from nodes.linux.versions import BEHAVIOUR
from nodes.policy import Kernel
from nodes.spec.hest import NotificationType
from nodes.spec.status_block import StatusBlock
from tests.blocks import (
    CORRECTED,
    FATAL,
    INFORMATIONAL,
    RECOVERABLE,
    UNKNOWN,
    block_of,
    memory_block,
    memory_entry,
    pcie_entry,
)
from tests.doubles import accounts, give, kernel, page, source

S = 1_000_000_000  # ns
FREE = page(PageKind.FREE)
NMI_LIKE = (NotificationType.SEA, NotificationType.SDEI)
WORDS = {  # offset in a block, bytes
    "status": 0,
    "raw_offset": 4,
    "raw_length": 8,
    "data_length": 12,
    "severity": 16,
    "body_length": 44,
    "second_body_length": 196,
}
paths = pytest.mark.parametrize("path", ["proc", "nmi"])
every_kernel = pytest.mark.parametrize("version", list(Kernel))


def changed(block, **words):
    """A block with some of its 32-bit words replaced."""
    octets = bytearray(block)
    for name, value in words.items():
        octets[WORDS[name] : WORDS[name] + 4] = (value & 0xFFFF_FFFF).to_bytes(4, "little")
    return bytes(octets)


GOOD = memory_block(FREE)
MALFORMED = {
    "data length without an entry": changed(GOOD, data_length=10),
    "data length of 63": changed(GOOD, data_length=63),
    "data length one short": changed(GOOD, data_length=len(GOOD) - 21),
    "data length one long": changed(GOOD, data_length=len(GOOD) - 19) + b"\0",
    "length wraps below the head": changed(GOOD, data_length=0xFFFF_FFEC),
    "longer than the source": changed(GOOD, data_length=4077),
    "body longer than the entry": changed(GOOD, body_length=81),
    "body shorter than the entry": changed(GOOD, body_length=79),
    "raw data inside the entries": changed(GOOD, raw_offset=20, raw_length=16),
    "raw data beyond the source": changed(GOOD, raw_offset=172, raw_length=8192),
    "second entry bad": changed(block_of(memory_entry(FREE), memory_entry(FREE)), second_body_length=500),
    "fatal, body longer": changed(memory_block(FREE, FATAL), body_length=81),
    "unknown severity, too long": changed(memory_block(FREE, UNKNOWN), data_length=5000),
}
ENDLESS = changed(StatusBlock(1, CORRECTED, (memory_entry(),)).encode()[:92], data_length=72, body_length=-72)


def one(path, block, version=Kernel.V6_12, notification=NotificationType.SDEI):
    """One block read on one of the two ways in, by a kernel that has done nothing yet."""
    linux = kernel(version)
    behind = source(notification if path == "nmi" else NotificationType.POLLED)
    result = getattr(linux.reader, path)(give(linux, behind, block))
    return linux, behind, result


@paths
def test_a_free_block_is_neither_cleared_nor_acknowledged(path):
    linux = kernel()
    behind = source()
    behind.read_ack = 0

    assert getattr(linux.reader, path)(behind) == -ENOENT
    assert (behind.read_ack, linux.ask.events) == (0, [])


@paths
def test_a_block_whose_status_is_0_is_never_looked_at_even_if_it_is_fatal(path):
    linux, behind, result = one(path, changed(memory_block(FREE, FATAL), status=0))

    assert (result, behind.read_ack, behind.carried) == (-ENOENT, 0, 1)
    assert linux.ask.events == []


@paths
@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_block_is_cleared_acknowledged_and_lost(case, path):
    linux, behind, result = one(path, MALFORMED[case])

    assert result in (-EIO, -ENOENT)
    assert (behind.block, behind.read_ack) == (b"", 1)
    assert [event.reason for event in linux.ask.events] == [Account.LOST_BLOCK_MALFORMED]
    assert accounts(linux.ledger) == {"LOST_BLOCK_MALFORMED": 1}
    assert not linux.ask.down


@paths
@given(octets=st.binary(max_size=200), sprinkled=st.booleans())
def test_any_bytes_are_read_or_refused_and_always_given_back(path, octets, sprinkled):
    linux = kernel()
    behind = source(NotificationType.SDEI)
    block = GOOD[: 200 - len(octets)] + octets if sprinkled else octets
    give(linux, behind, block)

    getattr(linux.reader, path)(behind)

    kept = block[:4] in (b"", bytes(4)) or linux.ask.hung
    assert (behind.read_ack == 0) == bool(kept)
    assert linux.ledger.open() == behind.carried + linux.carried()


@paths
@every_kernel
def test_a_block_whose_entry_wraps_to_nothing_hangs_the_kernel_and_stays_unread(path, version):
    linux, behind, _ = one(path, ENDLESS, version)

    assert linux.ask.hung
    assert (behind.read_ack, behind.carried, behind.block) == (0, 1, ENDLESS)
    assert linux.ask.events == []


@paths
@pytest.mark.parametrize("severity", [FATAL, UNKNOWN, 4, 0xFFFF_FFFF])
@pytest.mark.parametrize("section", [RECOVERABLE, CORRECTED])
def test_only_the_severity_of_the_block_panics(severity, section, path):
    linux, behind, _ = one(path, changed(memory_block(FREE, section), severity=severity))

    assert linux.ask.down
    assert (behind.block, behind.read_ack) == (b"", 1)
    assert linux.ask.of(PageOfflined) == []
    assert [type(event) for event in linux.ask.events] == [RecordRead, RecordLogged, KernelPanicked]


@paths
@pytest.mark.parametrize("section", [FATAL, UNKNOWN])
@pytest.mark.parametrize("severity", [RECOVERABLE, CORRECTED, INFORMATIONAL])
def test_a_fatal_section_in_a_milder_block_does_nothing(severity, section, path):
    linux, _, _ = one(path, memory_block(FREE, severity, section))
    linux.reader.irq_work()

    assert not linux.ask.down
    assert linux.ask.works == 0


def test_an_irq_like_source_is_processed_where_it_is_read():
    linux, behind, result = one("proc", GOOD)

    assert result == 0
    assert linux.ask.works == 1
    assert behind.read_ack == 1


def test_an_nmi_like_source_is_given_back_at_once_and_processed_in_irq_work():
    linux, behind, result = one("nmi", GOOD)

    assert (result, behind.read_ack, linux.ask.works) == (0, 1, 0)
    linux.reader.irq_work()
    assert linux.ask.works == 1
    assert linux.ask.of(RecordLogged)[0].printed


def test_a_polled_block_is_printed_before_and_a_queued_one_after_it_is_processed():
    linux = kernel(source_count=2)

    linux.reader.proc(give(linux, source(), block_of(pcie_entry())))
    linux.reader.nmi(give(linux, source(NotificationType.SDEI, 1), block_of(pcie_entry(device=3))))
    linux.reader.irq_work()

    polled, queued = (RecordRead, RecordLogged, PcieRecoveryQueued), (RecordRead, PcieRecoveryQueued, RecordLogged)
    assert [type(event) for event in linux.ask.events] == [*polled, *queued]


def test_with_the_pool_empty_a_source_is_stuck_until_memory_is_freed():
    linux = kernel()
    used, linux.reader.pool_used = linux.reader.pool_used, linux.reader.pool_size
    behind = give(linux, source(NotificationType.SDEI), GOOD)

    assert linux.reader.nmi(behind) == -ENOMEM
    assert (behind.read_ack, behind.block, behind.carried) == (0, GOOD, 1)
    assert [event.reason for event in linux.ask.of(RecordLost)] == [Account.LOST_POOL_EMPTY]

    linux.reader.pool_used = used
    assert linux.reader.nmi(behind) == 0
    assert behind.read_ack == 1


def test_the_pool_is_freed_by_irq_work():
    linux, _, _ = one("nmi", GOOD)
    assert linux.reader.pool_used == 48 + len(GOOD)

    linux.reader.irq_work()

    assert linux.reader.pool_used == 0


@pytest.mark.parametrize(("sources", "size"), [(1, 69632), (2, 135168), (3, 200704)])
def test_the_pool_holds_a_cache_and_64_kib_for_each_source(sources, size):
    assert kernel(source_count=sources).reader.pool_size == size


def blocks(count, severity=CORRECTED):
    return [memory_block(FREE + 64 * i, severity) for i in range(count)]


def read(linux, block, *, after_s=0, behind=None):
    """One more polled block; whether it was printed."""
    linux.ask.now += int(after_s * S)
    linux.reader.proc(give(linux, behind or source(), block))
    return bool(linux.ask.of(RecordLogged)[-1].printed)


def test_two_blocks_of_each_class_are_printed_in_5_s_and_all_are_processed():
    linux = kernel()

    corrected = [read(linux, block) for block in blocks(4)]
    recoverable = [read(linux, block) for block in blocks(4, RECOVERABLE)]

    assert corrected == recoverable == [True] * PRINT_BURST + [False] * 2
    assert linux.ask.works == 4
    assert linux.ledger[Account.CORRECTED] == 4


def test_informational_blocks_share_the_limit_of_corrected_ones():
    linux = kernel()

    printed = [read(linux, block) for block in blocks(2) + blocks(1, INFORMATIONAL) + blocks(1, RECOVERABLE)]

    assert printed == [True, True, False, True]


def test_the_limit_is_over_after_more_than_5_s():
    linux = kernel()
    first, second, third, fourth = blocks(4)
    read(linux, first)
    read(linux, second)

    assert not read(linux, third, after_s=PRINT_INTERVAL_NS / S)
    assert read(linux, fourth, after_s=0.1)


def test_a_fatal_block_is_printed_whatever_the_limit():
    linux = kernel()

    printed = [read(linux, block) for block in [*blocks(3, RECOVERABLE), memory_block(FREE, FATAL)]]

    assert printed == [True, True, False, True]


def test_what_waits_in_the_pool_is_printed_but_not_processed_when_a_fatal_record_comes():
    linux = kernel(source_count=2)
    linux.reader.nmi(give(linux, source(NotificationType.SDEI), GOOD))

    linux.reader.nmi(give(linux, source(NotificationType.SDEI, 1), memory_block(FREE, FATAL)))

    assert [(event.severity, event.printed) for event in linux.ask.of(RecordLogged)] == [(0, 1), (1, 1)]
    assert linux.ask.works == 0


def test_a_duplicate_within_10_s_is_processed_but_not_printed_in_the_irq_path():
    linux = kernel()

    assert [read(linux, GOOD), read(linux, GOOD)] == [True, False]
    assert linux.ask.works == 2


@pytest.mark.parametrize(("later_ns", "dropped"), [(CACHE_TIME_NS - 1, True), (CACHE_TIME_NS, False)])
def test_a_duplicate_within_10_s_is_dropped_in_the_nmi_path(later_ns, dropped):
    linux, behind, _ = one("nmi", GOOD)
    linux.reader.irq_work()
    linux.ask.now = later_ns

    linux.reader.nmi(give(linux, behind, GOOD))

    assert behind.read_ack == 1
    assert bool(linux.ledger[Account.COALESCED]) == dropped
    assert len(linux.reader.queue) == (0 if dropped else 1)


@pytest.mark.parametrize("notification", NMI_LIKE)
@every_kernel
def test_a_dropped_duplicate_is_an_error_only_for_sea_and_only_since_6_12(notification, version):
    linux, behind, _ = one("nmi", GOOD, version, notification)
    linux.reader.irq_work()

    result = linux.reader.nmi(give(linux, behind, GOOD))

    fails = notification is NotificationType.SEA and BEHAVIOUR[version].cancels_duplicate_sea
    assert result == (-ECANCELED if fails else 0)
    assert BEHAVIOUR[version].cancels_duplicate_sea == (version is not Kernel.V6_1)


def test_two_identical_blocks_in_the_pool_at_once_are_both_processed():
    linux = kernel(source_count=2)
    for i in range(2):
        linux.reader.nmi(give(linux, source(NotificationType.SDEI, i), GOOD))

    linux.reader.irq_work()

    assert linux.ask.works == 2
    assert [event.printed for event in linux.ask.of(RecordLogged)] == [1, 0]


def test_a_block_is_a_duplicate_from_any_source_and_only_if_every_byte_is_equal():
    linux = kernel()
    corrected = memory_block(FREE, CORRECTED)
    assert read(linux, corrected)

    assert not read(linux, corrected, behind=source(source_id=3))
    assert read(linux, changed(corrected, status=2), after_s=6)


def test_a_block_that_was_not_printed_is_not_remembered():
    linux = kernel()
    for block in blocks(3):
        read(linux, block)

    assert read(linux, blocks(3)[2], after_s=6)


def test_the_cache_holds_four_blocks_and_gives_up_the_one_with_the_longest_period():
    linux = kernel()
    kinds = [*blocks(2), *blocks(2, RECOVERABLE), memory_block(page(PageKind.FREE, 9), CORRECTED)]
    assert all(read(linux, block) for block in kinds[:CACHE_SIZE])
    read(linux, kinds[0])

    assert read(linux, kinds[CACHE_SIZE], after_s=5.1)

    assert [read(linux, kinds[i]) for i in (0, 2, 3, 1)] == [False, False, False, True]


def test_after_10_s_a_block_is_printed_and_remembered_again():
    linux = kernel()
    corrected = memory_block(FREE, CORRECTED)
    read(linux, corrected)

    assert read(linux, corrected, after_s=10)
    assert not read(linux, corrected, after_s=6)


def test_bytes_behind_the_length_that_the_block_tells_do_not_make_it_another():
    linux = kernel()

    assert [read(linux, GOOD + tail) for tail in (b"", b"behind")] == [True, False]

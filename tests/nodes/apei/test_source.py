"""One error source: who may write, who gives back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.apei.source import BLOCK_SIZE, LOST_AS, ErrorSource, SourceKind, Sources, Written
from nodes.ledger import Account
from nodes.spec.hest import NotificationType
from tests.vectors import VECTORS

CYCLE = VECTORS["ghes_ack_cycle"]["value"]
KINDS = tuple(SourceKind(i, n) for i, n in enumerate((NotificationType.SEA, NotificationType.GPIO)))
BLOCK = b"\x01" + bytes(19)


def source():
    return ErrorSource(KINDS[0])


def test_the_read_ack_goes_round_as_published():
    behind = source()
    words = [behind.read_ack]

    behind.write(BLOCK, 1)
    words.append(behind.read_ack)
    behind.take_carried()
    behind.clear()
    words.append(behind.read_ack)

    assert words == [CYCLE["before_error"], CYCLE["after_qemu_write"], CYCLE["after_guest_ack"]]


def test_an_unread_block_is_never_overwritten():
    behind = source()
    behind.write(BLOCK, 1)

    assert behind.write(b"\x02" + bytes(19), 1) is Written.NOT_ACKNOWLEDGED
    assert (behind.block, behind.carried) == (BLOCK, 1)


@pytest.mark.parametrize(("size", "written"), [(BLOCK_SIZE, Written.WRITTEN), (BLOCK_SIZE + 1, Written.TOO_LARGE)])
def test_a_block_that_does_not_fit_is_refused_and_leaves_no_trace(size, written):
    behind = source()

    assert behind.write(bytes(size), 1) is written
    assert (behind.read_ack == 1) == (written is Written.TOO_LARGE)


def test_a_block_that_does_not_fit_is_refused_as_such_even_if_the_one_before_is_unread():
    behind = source()
    behind.write(BLOCK, 1)

    assert behind.write(bytes(BLOCK_SIZE + 1), 1) is Written.TOO_LARGE


@pytest.mark.parametrize("word", [2, 1 << 63, 0xFFFF_FFFF_FFFF_FFFE])
def test_the_producer_tests_the_whole_ack_word(word):
    behind = source()
    behind.write(BLOCK, 0)
    behind.read_ack = word

    assert behind.write(BLOCK, 0) is Written.WRITTEN


@given(st.integers(0, (1 << 64) - 1))
def test_giving_back_keeps_what_must_be_preserved(word):
    behind = source()
    behind.read_ack = word

    behind.clear()

    assert behind.read_ack == word | 1
    assert behind.block == b""


def test_every_refusal_has_its_account():
    assert set(LOST_AS) == set(Written) - {Written.WRITTEN}
    assert set(LOST_AS.values()) == {Account.LOST_SLOT_NOT_ACKNOWLEDGED, Account.LOST_BLOCK_TOO_LARGE}


def test_a_table_without_the_id_has_no_source():
    sources = Sources(KINDS)

    assert sources.source(2) is None
    assert [kind.source_id for kind in sources.kinds] == [0, 1]
    assert sources.source(1) is sources.source(1)


def test_only_used_sources_are_looked_at_by_id():
    sources = Sources((*KINDS, SourceKind(2, NotificationType.SEA)))
    for source_id in (2, 1, 0):
        sources.source(source_id)

    assert [s.kind.source_id for s in sources.with_notification(NotificationType.SEA)] == [0, 2]


def test_at_boot_every_source_is_free_and_acknowledged_and_what_stood_there_is_told():
    sources = Sources(KINDS)
    for source_id in (0, 1):
        sources.source(source_id).write(BLOCK, 1 + source_id)

    assert sources.carried() == sources.initialise() == 3
    assert sources.carried() == 0
    assert sources.source(0).write(BLOCK, 1) is Written.WRITTEN

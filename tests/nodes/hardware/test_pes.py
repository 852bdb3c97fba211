"""SErrors at the PEs of a host: pended, taken, arriving, deferred; and where the ledger has them."""

import pytest

from nodes.hardware.pe import NOTHING
from nodes.ledger import Account
from nodes.spec.aarch64 import ScrEl3
from nodes.spec.severity import Aet, ErrorState
from nodes.spec.syndrome import serror_iss
from tests.nodes.hardware.records import FIRMWARE_FIRST, KERNEL_FIRST, V1P1, board_with, error

UEO, UEU = serror_iss(Aet.UEO), serror_iss(Aet.UEU)
IESB = 1 << 13
NODE, OTHER = 0x100, 0x200
NMEA = KERNEL_FIRST | ScrEl3.of(EA=1, NMEA=1)


def pes_with(scr=KERNEL_FIRST, el=2, masked=True):
    """The PEs of a board; PE 0 runs the host at a level."""
    board, asked = board_with(scr)
    state = board.pes.of(0)
    state.el, state.masked = el, masked
    return board, asked, state


def occurrence(board):
    """One more occurrence, in flight."""
    board.ledger.inject()
    return 1


def recorded(board, node):
    """A record that carries an occurrence."""
    record = board.record_of(node)
    record.record(error(ErrorState.UEO), V1P1)
    record.carried = occurrence(board)
    return node


def test_an_serror_that_nothing_holds_is_taken_at_once():
    board, asked, _ = pes_with(masked=False)

    board.pes.pend(0, UEO, NODE)

    assert asked.calls == [("serror_taken", 0, 2, 0xBE00_0811, NODE, 0)]


def test_a_masked_serror_is_pending_until_it_is_released():
    board, asked, state = pes_with()
    board.pes.pend(0, UEO, recorded(board, NODE))
    assert asked.calls == [("SErrorPended", 0, 2, UEO, 1 << 8)]
    assert board.ledger[Account.PENDING] == 1

    state.masked = False
    board.pes.release(0)

    assert asked.calls[1:] == [("serror_taken", 0, 2, 0xBE00_0811, NODE, 0)]
    assert board.ledger[Account.IN_FLIGHT] == 1


def test_what_merges_is_pending_in_every_record_and_comes_back_from_each():
    board, asked, state = pes_with()
    board.pes.pend(0, UEU, recorded(board, NODE))
    board.pes.pend(0, UEO, recorded(board, OTHER))
    assert board.ledger[Account.PENDING] == 2

    state.masked = False
    board.pes.release(0)

    assert asked.of("serror_taken") == [(0, 2, 0xBE00_0411, OTHER, 0)]
    assert board.ledger[Account.IN_FLIGHT] == 2


def test_an_occurrence_that_nobody_recorded_gives_way_to_the_next_one():
    board, _, _ = pes_with()

    for _ in range(2):
        board.pes.pend(0, UEO, carried=occurrence(board))

    assert (board.ledger[Account.PENDING], board.ledger[Account.COALESCED]) == (1, 1)
    assert board.pes.carried() == 1


def test_esb_defers_a_masked_serror_and_ends_its_pending_state():
    board, asked, state = pes_with()
    board.pes.pend(0, UEO, recorded(board, NODE))

    taken = board.pes.barrier(0)

    assert (taken.iss, taken.nodes) == (UEO, (NODE,))
    assert asked.of("SErrorDeferred") == [(0, 0x8000_0811)]
    assert (state.pending, board.ledger[Account.IN_FLIGHT]) == (NOTHING, 1)


def test_a_deferred_serror_is_not_taken_a_second_time():
    board, asked, state = pes_with()
    board.pes.pend(0, UEO, NODE)
    board.pes.barrier(0)

    state.masked = False
    board.pes.release(0)

    assert asked.of("serror_taken") == []


@pytest.mark.parametrize("masked", [False, True])
def test_esb_synchronises_what_was_arriving_and_says_nothing_of_iesb(masked):
    board, asked, _ = pes_with(masked=masked)
    board.pes.expect(0, UEO, NODE)
    assert asked.calls == []

    board.pes.barrier(0)

    assert asked.of("SErrorDeferred") == ([(0, 0x8000_0811)] if masked else [])
    assert asked.of("serror_taken") == ([] if masked else [(0, 2, 0xBE00_0811, NODE, 0)])


def test_entering_a_level_with_iesb_pends_what_was_arriving_and_leaves_disr_alone():
    board, asked, state = pes_with(el=0, masked=False)
    board.pes.expect(0, UEO, NODE)

    board.pes.enter_level(0, 2)

    assert asked.calls == [("SErrorPended", 0, 2, UEO, 1 << 8)]  # PSTATE.A is 1 in the vector; ISR_EL1.A shows it
    assert (state.pending, state.disr) == (UEO, 0)


def test_entering_a_level_without_iesb_leaves_it_arriving():
    board, asked, state = pes_with(el=0, masked=False)
    state.sctlr = (0, 0, 0, 0)
    board.pes.expect(0, UEO, NODE)

    board.pes.enter_level(0, 2)
    board.pes.leave_level(0)

    assert asked.calls == []
    assert len(state.arriving) == 1


@pytest.mark.parametrize(("scr", "el", "target"), [(FIRMWARE_FIRST, 2, 3), (NMEA, 3, 3)])
def test_what_iesb_synchronises_at_entry_and_nothing_masks_is_taken_at_once_and_says_so(scr, el, target):
    board, asked, _ = pes_with(scr, el=0)
    board.pes.expect(0, UEO, NODE)

    board.pes.enter_level(0, el)

    assert asked.calls == [("serror_taken", 0, target, 0xBE00_0811 | IESB, NODE, 0)]


@pytest.mark.parametrize("masked", [False, True])
def test_eret_from_a_level_with_iesb_synchronises_at_that_level(masked):
    board, asked, _ = pes_with(el=2, masked=masked)
    board.pes.expect(0, UEO, NODE)

    board.pes.leave_level(0)

    assert asked.names() == ["SErrorPended" if masked else "serror_taken"]
    assert asked.of("serror_taken") == ([] if masked else [(0, 2, 0xBE00_0811 | IESB, NODE, 0)])


def test_a_barrier_after_iesb_defers_without_the_bit():
    board, _, state = pes_with(el=0, masked=False)
    board.pes.expect(0, UEO, NODE)
    board.pes.enter_level(0, 2)

    board.pes.barrier(0)

    assert state.disr == 0x8000_0811


def test_every_error_that_was_arriving_is_synchronised_in_its_order():
    board, asked, state = pes_with()
    board.pes.expect(0, UEU, NODE)
    board.pes.expect(0, UEO, OTHER)

    board.pes.synchronise(0)

    assert [call[2] for call in asked.of("SErrorPended")] == [UEU, UEO]
    assert (state.pending, state.pending_nodes, state.arriving) == (UEU, (NODE, OTHER), ())


def test_what_waits_at_a_pe_is_lost_with_its_power():
    board, _, state = pes_with()
    board.pes.pend(0, UEO, carried=occurrence(board))
    board.pes.expect(0, UEO, carried=occurrence(board))
    assert board.pes.carried() == 2

    board.pes.lose_power()

    assert board.ledger[Account.LOST_HOST_RESET] == 2
    assert board.pes.of(0) is not state


def test_an_idle_pe_is_forgotten_and_a_busy_one_is_not():
    board, _, _ = pes_with(el=2, masked=False)
    board.pes.of(1).masked = True

    board.pes.forget(0)
    board.pes.forget(1)

    assert list(board.pes.touched) == [1]

"""The ledger: every occurrence is in one account, and an ended one never moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.ledger import ENDED, OPEN, Account, Ledger, LedgerSum, ledger_json

IN_ONE_WORD = ("corrected", "reported", "swallowed", "coalesced", "overwritten", "silent")
moves = st.lists(
    st.one_of(st.none(), st.tuples(st.integers(0, 4), st.sampled_from(OPEN), st.sampled_from(Account))),
    max_size=40,
)


def with_injected(count):
    ledger = Ledger()
    for _ in range(count):
        ledger.inject()
    return ledger


@given(moves)
def test_injected_is_open_plus_ended_after_any_moves(steps):
    ledger = Ledger()

    for step in steps:
        if step is None:
            ledger.inject()
        else:
            carried, source, target = step
            ledger.move(min(carried, ledger[source]), source, target)

        assert ledger.balanced()
        assert ledger.injected == ledger.open() + sum(ledger[account] for account in ENDED)


def test_a_new_occurrence_is_in_flight():
    ledger = with_injected(1)

    assert (ledger.injected, ledger[Account.IN_FLIGHT], ledger.open()) == (1, 1, 1)


@pytest.mark.parametrize("account", ENDED)
def test_what_has_ended_never_moves(account):
    ledger = with_injected(1)
    ledger.move(1, Account.IN_FLIGHT, account)

    with pytest.raises(AssertionError, match="has ended"):
        ledger.move(1, account, Account.IN_FLIGHT)


@pytest.mark.parametrize("account", OPEN)
def test_no_account_gives_more_than_it_has(account):
    ledger = with_injected(1)
    ledger.move(1, Account.IN_FLIGHT, account)

    with pytest.raises(AssertionError, match="2 to move"):
        ledger.move(2, account, Account.REPORTED)


def test_nothing_carried_moves_nothing_from_anywhere():
    ledger = Ledger()

    ledger.move(0, Account.REPORTED, Account.IN_FLIGHT)

    assert ledger == Ledger()


def test_a_ledger_takes_in_another():
    total, other = with_injected(2), with_injected(3)
    other.move(1, Account.IN_FLIGHT, Account.CORRECTED)

    total.add(other)

    assert (total.injected, total[Account.IN_FLIGHT], total[Account.CORRECTED]) == (5, 4, 1)
    assert total.balanced()


def test_the_keys_in_json_are_the_designs_words():
    ledger = with_injected(3)
    ledger.move(1, Account.IN_FLIGHT, Account.LATENT)
    ledger.move(1, Account.IN_FLIGHT, Account.LOST_SLOT_NOT_ACKNOWLEDGED)

    told = ledger_json(ledger)

    assert told["injected"] == 3
    assert told["open"] == {"in_flight": 1, "pending": 0, "latent": 1}
    assert told["ended"]["lost"] == {"slot_not_acknowledged": 1}
    assert set(told["ended"]) == {*IN_ONE_WORD, "lost"}


@pytest.mark.parametrize("account", Account)
def test_every_account_is_either_open_or_ended(account):
    assert (account in OPEN) is not (account in ENDED)


def test_a_ledger_is_small_because_hosts_are_many():
    assert Ledger().buffer_info()[1] * Ledger().itemsize == 4 * (len(Account) + 1)


counts = st.lists(st.integers(0, 1 << 20), min_size=len(Account) + 1, max_size=len(Account) + 1)


def with_counts(values):
    ledger = Ledger()
    for index, count in enumerate(values):
        ledger[index] = count
    return ledger


@given(st.lists(counts, max_size=5), st.lists(counts, max_size=5))
def test_a_sum_of_ledgers_is_what_adding_each_comes_to(kept, left_out):
    total, added = LedgerSum(), Ledger()
    for values in kept + left_out:
        total.add(with_counts(values))
    for values in left_out:
        total.take(with_counts(values))
    for values in kept:
        added.add(with_counts(values))

    assert total.ledger() == added


def test_a_copy_of_a_sum_goes_its_own_way():
    total = LedgerSum()
    other = total.copy()
    other.add(with_injected(3))

    assert (total.ledger().injected, other.ledger().injected) == (0, 3)


def test_a_sum_that_no_ledger_can_hold_is_not_given():
    total, large = LedgerSum(), Ledger()
    large[-1] = (1 << 32) - 1
    total.add(large)
    total.add(large)

    with pytest.raises(OverflowError):
        total.ledger()

"""The accounting check sees whatever is open without being anywhere."""

import pytest

from nodes.events import commands as c
from nodes.ledger import Account
from tests.blocks import memory_block
from tests.hosts import guest_meets_error, host


def crowded():
    """A host with something in nearly every place that can carry an occurrence."""
    machine = host(handling="kernel_first", aest="none", notification="polled")
    machine.inject("memory-ueo")
    machine.inject("memory-de", address=machine.task_page() + 64)
    machine.do(c.SetPe, 0, 1, 1)
    machine.do(c.PendSError, 0xBE00_0811, -1, 1)
    machine.do(c.PresentBlock, memory_block(machine.task_page()), 0)
    machine.do(c.SetGuest, 0, 1, 1)
    machine.do(c.SetVcpuEvents, 0, 1, 0)
    machine.do(c.InjectGuestError, 0, memory_block(0x7000_0000))
    return machine


def test_a_crowded_host_is_accounted():
    machine = crowded()

    assert machine.accounted()
    assert machine.ledger()["open"] == {"in_flight": 2, "pending": 1, "latent": 1}
    assert machine.ledger()["guests"]["open"] == {"in_flight": 1, "pending": 1, "latent": 0}


PLACES = {
    "a record": lambda m: next(r for r in m.board.records.values() if r.carried),
    "a block": lambda m: m.sources.source(0),
    "a vCPU": lambda m: m.guests.guest_of(0).vcpu,
}


@pytest.mark.parametrize("place", PLACES)
def test_an_occurrence_that_vanishes_from_its_place_is_seen(place):
    machine = crowded()

    PLACES[place](machine.machine).carried = 0

    assert not machine.accounted()


def test_poison_that_vanishes_is_seen():
    machine = crowded()

    machine.machine.board.poison.clear()

    assert not machine.accounted()


@pytest.mark.parametrize("ledger", ["host", "guests"])
@pytest.mark.parametrize("account", [Account.IN_FLIGHT, Account.PENDING, Account.LATENT])
def test_an_open_occurrence_that_nobody_carries_is_seen(account, ledger):
    machine = crowded()
    book = machine.machine.ledger if ledger == "host" else machine.machine.guests.ledger

    book.inject()
    book.move(1, Account.IN_FLIGHT, account)

    assert book.balanced()
    assert not machine.accounted()


def test_a_sum_that_does_not_add_up_is_seen():
    machine = host()
    guest_meets_error(machine)

    machine.machine.ledger[Account.REPORTED] += 1

    assert not machine.accounted()

"""Taking a snapshot: small, the same for hosts that stand alike, and nothing changes by it."""

import pytest

from nodes.events import commands as c
from nodes.hardware.record import RecordRegister
from nodes.host import Host
from nodes.policy import Qemu, Switches
from nodes.stack.look import state_of
from nodes.stack.snapshot import snapshot
from tests.floors import brought_back, stored
from tests.hosts import S, host

HOUR_NS = 3600 * S


def stormed(*faults):
    """A host that met these faults, one an hour, in a guest's memory."""
    struck = host()
    for number, name in enumerate(faults):
        struck.inject(name, guest=number % 4)
        struck.run_until((number + 1) * HOUR_NS)
    return struck


def test_a_fresh_host_is_nearly_nothing():
    assert len(stored(host())) <= 40


def test_a_quiet_host_that_met_corrected_errors_is_small():
    assert len(stored(stormed(*["memory-ce"] * 20))) <= 150


def test_a_quiet_host_whose_guests_lost_pages_is_small():
    assert len(stored(stormed(*["memory-uer", "memory-ce"] * 10))) <= 700


def test_taking_a_snapshot_changes_nothing():
    struck = stormed("memory-uer", "cache-uer", "tlb-ce")
    before = stored(struck)

    state_of(struck.machine)
    assert stored(struck) == before


def test_what_looking_makes_is_not_stored():
    looked_at = host()
    state_of(looked_at.machine)

    assert stored(looked_at) == stored(host())


@pytest.mark.parametrize("kind", ["memory-de", "tlb-uer", "bus-ce"])
def test_hosts_that_stand_alike_have_the_same_bytes_whatever_came_first(kind):
    one, other = host(), host()
    page = one.task_page()
    for struck, order in ((one, (0, 1, 2)), (other, (2, 1, 0))):
        for place in order:
            struck.machine.board.poison[page + 64 * place] = 0
            struck.record(place).addr = page

    assert stored(one) == stored(other)


def test_the_order_in_which_sources_were_first_used_is_kept():
    one, other = host(), host()
    for struck, order in ((one, (0, 2)), (other, (2, 0))):
        for source_id in order:
            struck.machine.sources.source(source_id)

    assert stored(one) != stored(other)
    assert [source.kind.source_id for source in brought_back(other)[0].sources.made] == [2, 0]


def test_switches_that_were_changed_are_stored_against_the_hosts_home():
    struck = host(qemu=Qemu.V7_2)
    before = len(stored(struck))
    struck.do(c.ChangePolicy, '{"kernel": "6.19"}')
    struck.run()

    machine, _ = brought_back(struck)
    assert machine.platform is struck.platform
    assert (machine.home.switches, machine.platform.switches.kernel) == (Switches(qemu=Qemu.V7_2), "6.19")
    assert len(stored(struck)) < before + 60


def test_switches_that_were_changed_back_are_no_difference():
    struck = host()
    for kernel in ("6.19", "6.12"):
        struck.do(c.ChangePolicy, f'{{"kernel": "{kernel}"}}')
        struck.run()

    assert b"kernel" not in stored(struck)


def test_a_countdown_that_runs_comes_back_with_its_timer():
    struck = host()
    struck.do(c.WriteErrorRegister, 0, RecordRegister.PFGCDN, 3_000)
    struck.do(c.WriteErrorRegister, 0, RecordRegister.PFGCTL, 0x8000_0040)

    machine, timers = brought_back(struck)
    assert len(timers) == len(struck._timers) > 0
    assert snapshot(machine, timers) == stored(struck)


def test_a_host_with_more_errors_than_a_byte_counts_is_stored_exactly():
    struck = Host()
    struck.machine.ledger.inject()
    struck.machine.ledger[0] += 70_000
    struck.machine.ledger[-1] += 70_000

    assert brought_back(struck)[0].ledger == struck.machine.ledger

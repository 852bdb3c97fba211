"""The host's error sources and its HEST."""

import pytest

from nodes.el3.sources import POLL_INTERVAL_MS, host_hest, source_kinds
from nodes.policy import NotificationSwitch
from nodes.spec.hest import GenericAddress, Hest, Notification, NotificationType

BASE = 0x7A00_0000
every_switch = pytest.mark.parametrize("switch", NotificationSwitch)


@every_switch
def test_each_component_has_a_source_that_tells_as_the_switch_says(switch):
    kinds = source_kinds(switch)[:3]

    told = [kind.notification.name.lower() for kind in kinds]
    assert told == ([switch] * 3 if switch is not NotificationSwitch.SEA else ["sea", "sea", "gsiv"])


def test_what_no_abort_tells_has_a_twin_that_tells_by_interrupt():
    kinds = source_kinds(NotificationSwitch.SEA)

    assert [kind.notification for kind in kinds[3:]] == [NotificationType.GSIV] * 3
    assert [kind.source_id for kind in kinds] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("switch", "vectors"), [("sdei", [804, 805, 806]), ("gsiv", [160, 161, 162])])
def test_each_component_has_a_vector_of_its_own(switch, vectors):
    assert [kind.vector for kind in source_kinds(NotificationSwitch(switch))] == vectors


@every_switch
def test_the_table_says_of_every_source_where_it_is_and_how_it_tells(switch):
    kinds = source_kinds(switch)

    sources = Hest.decode(host_hest(switch, BASE)).sources

    told = [Notification.decode(source.notification) for source in sources]
    assert [(source.source_id, how.type, how.vector) for source, how in zip(sources, told, strict=True)] == [
        (kind.source_id, kind.notification, kind.vector) for kind in kinds
    ]
    registers = [
        GenericAddress.decode(gas).address
        for s in sources
        for gas in (s.error_status_address, s.read_ack_register)
    ]
    assert sorted(registers) == [BASE + 8 * index for index in range(2 * len(kinds))]


@every_switch
def test_the_table_adds_up(switch):
    table = host_hest(switch, BASE)

    assert sum(table) % 256 == 0
    assert int.from_bytes(table[4:8], "little") == len(table)


@every_switch
def test_only_polled_sources_have_an_interval(switch):
    sources = Hest.decode(host_hest(switch, BASE)).sources

    intervals = {Notification.decode(source.notification).poll_interval_ms for source in sources}
    assert intervals == {POLL_INTERVAL_MS if switch is NotificationSwitch.POLLED else 0}

"""A run again: what differs is told in a line for each partition, however much it is."""

import asyncio

import pytest

from fleet.codec import encode
from fleet.engine.again import FIELDS_MAX, Difference, run_again, told
from nodes.events import CPER, SYNDROME, PoisonStored, StatusBlockWritten
from tests.runs import storm

TIME_NS = 7_000_000_000
POISON = PoisonStored(0, "host-0001", 1, TIME_NS, 0x40)


def told_of(logged, again, topic=SYNDROME):
    values = (one and encode(one) for one in (logged, again))
    return told(Difference(topic, 4, 0, *values))


def test_the_first_difference_of_each_partition_is_told_and_all_are_counted(tmp_path):
    _, log = storm(tmp_path)
    again = [[one[3:] for one in log.read(SYNDROME, partition)][:2] for partition in (4, 7)]
    for partition, records in zip((4, 7), again, strict=True):
        writer = log.writer(partition)
        asyncio.run(writer.commit({SYNDROME: records}))
        asyncio.run(writer.close())
    compared = run_again(log)

    assert [difference.partition for difference in compared.differences] == [4, 7]
    assert compared.difference_count == 4


@pytest.mark.parametrize(
    ("logged", "again", "said"),
    [(POISON, None, "does not come again"), (None, POISON, "comes, and the log ends before it")],
)
def test_an_event_that_only_one_side_has_is_told_by_its_head(logged, again, said):
    place = "ras.syndrome.v1, partition 4, offset 0"

    assert told_of(logged, again) == f"{place}: PoisonStored of host-0001 at {TIME_NS} ns {said}"


def test_of_two_events_the_fields_that_differ_are_told():
    other = PoisonStored(0, "host-0001", 2, TIME_NS, 0x80)

    assert told_of(POISON, other).endswith("offset 0: sequence 1, again 2; address 0x40, again 0x80")


def test_a_difference_stays_a_line_that_can_be_read():
    block = StatusBlockWritten(0, "host-0001", 1, TIME_NS, 1, 0, 0, bytes(4096))
    line = told_of(block, POISON, CPER)

    assert len(line) < 400
    assert "\n" not in line
    assert line.count(", again ") == FIELDS_MAX
    assert "more fields" in line

"""What is wrong with a log on Kafka: offsets without a record are nothing, and what the plan lacks is named."""

import asyncio

import pytest

from fleet.codec import decode_any, encode
from fleet.engine.run import Run
from fleet.integrity_there import check_there
from nodes.events import COMMAND, OUTCOME, ClockAdvanced
from tests.memory_log import MemoryLog
from tests.runs import FEW, SMALL, manifest_of, plan_of

PLACE = "ras.command.v1, partition 2"


class Holed(MemoryLog):
    """A log of a run whose commands leave out some offsets."""

    run = "holed"
    title = "run holed"

    def __init__(self, manifest):
        super().__init__(manifest)
        self.holes = ()
        self.ended = None

    def summary(self):
        return self.ended

    def finish(self, summary):
        self.ended = summary

    def read(self, topic, partition, *, start=0):
        for entry in super().read(topic, partition, start=start):
            hidden = sum(hole <= entry.offset for hole in self.holes) if topic == COMMAND else 0
            yield entry._replace(offset=entry.offset + hidden)


@pytest.fixture
def log():
    """A small storm that is over."""
    plan = plan_of(FEW, **SMALL)
    made = Holed(manifest_of(plan, FEW, **SMALL))
    run = Run(made, plan)
    asyncio.run(run.run())
    made.finish(run.summary())
    return made


def found(log):
    return [(one.place.removeprefix("holed."), one.reason) for one in check_there(log).problems]


@pytest.mark.parametrize("ended", [True, False])
def test_offsets_without_a_command_are_nothing_wrong(log, ended):
    before = check_there(log)
    log.holes = (0, 3, 3, 40)
    log.ended = log.ended if ended else None

    report = check_there(log)
    assert (report.problems, report.whole) == ([], True)
    assert (report.records, report.digest) == (before.records, before.digest)


@pytest.mark.parametrize("ended", [True, False])
def test_a_command_of_the_plan_that_is_gone_is_named_though_offsets_may_be_missing(log, ended):
    stored = log.stored(COMMAND, 2)
    gone = decode_any(COMMAND, stored.pop(5).value).n
    log.ended = log.ended if ended else None

    assert (PLACE, f"the plan's command {gone} is missing, {gone + 1} stands there") in found(log)
    assert not check_there(log).whole


def test_an_event_that_is_gone_is_missed(log):
    del log.stored(OUTCOME, 2)[5]

    assert any(place.startswith(OUTCOME) for place, _ in found(log))
    assert not check_there(log).whole


@pytest.mark.parametrize(
    "value", [encode(ClockAdvanced(10**9, "", 0, 5)), encode(ClockAdvanced(0, "", 0, 5)), b"", b"none"]
)
def test_whatever_is_sent_to_a_run_that_is_over_waits_and_is_nothing_wrong(log, value):
    log.stored(COMMAND, 2).append(type(log.stored(COMMAND, 2)[0])(7, b"key", value))

    report = check_there(log)
    assert (report.problems, report.waiting, report.whole) == ([], 1, True)

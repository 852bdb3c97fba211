"""Workers that die, join, leave or come back, and brokers that go, change nothing in what a run holds."""

import random

import pytest

from tests.fleet.kafka.conftest import MIDDLE
from tests.kafka.torture import GROWTH_MIB_MAX, Torture

SEED = 20261126


@pytest.mark.slow
@pytest.mark.parametrize(
    "blows",
    [["kill"] * 5, ["stop"], ["join", "leave", "leave"]],
    ids=["five die", "one is taken for dead", "some join and leave"],
)
def test_workers_that_are_disturbed_in_a_storm_change_no_byte(kafka, fresh, middle, blows):
    torture = Torture(kafka, fresh, random.Random(SEED), **MIDDLE)
    torture.run(blows)

    assert torture.wrong(middle[1]) == []


@pytest.mark.slow
def test_a_leader_that_dies_and_comes_back_in_a_storm_changes_no_byte(three, fresh, middle):
    torture = Torture(three.bootstrap, fresh, random.Random(SEED), cluster=three, **MIDDLE)
    torture.run(["leader", "leader"])

    assert torture.wrong(middle[1]) == []


@pytest.mark.slow
def test_a_storm_goes_on_by_itself_when_every_broker_was_gone_and_holds_little_meanwhile(broker, fresh, middle):
    torture = Torture(broker.bootstrap, fresh, random.Random(SEED), cluster=broker, **MIDDLE)
    torture.run(["away"])

    assert torture.wrong(middle[1]) == []
    assert torture.growth_mib < GROWTH_MIB_MAX

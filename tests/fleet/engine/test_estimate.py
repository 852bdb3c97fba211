"""Estimates: near enough to say whether a disk will hold a run."""

import pytest

from fleet.engine.estimate import MEASURED, estimate_of
from fleet.scenario.scenario import load
from nodes.hardware.fault import FAULT_INDEX
from tests.runs import plan_of, storm


def test_every_fault_was_measured():
    assert list(MEASURED) == list(FAULT_INDEX)


def test_commands_are_counted_and_events_weighed():
    found = estimate_of([({"memory-ce": 3, "memory-de": 1}, 100)], others=2, clocks=10)

    assert found == (112, 3 * 10 + 3 * 2 + 7 * 75 + 8 * 25, 107 * 10 + 300 * 2 + 608 * 75 + 653 * 25)


def test_a_storm_comes_to_about_what_was_estimated(tmp_path):
    run, _ = storm(tmp_path / "run", hosts=100, faults=4000)
    estimate = plan_of(hosts=100, faults=4000).estimate()
    size_bytes = sum(path.stat().st_size for path in tmp_path.rglob("*.log"))

    assert sum(run.summary().events.values()) == pytest.approx(estimate.events, rel=0.15)
    assert size_bytes == pytest.approx(estimate.size_bytes, rel=0.15)


def test_a_part_of_a_run_is_estimated_as_a_part():
    text = load("large")[0]
    whole, hour = plan_of(text).estimate(), plan_of(text, until_s=3600.0).estimate()

    assert hour.events == pytest.approx(whole.events / 24, rel=0.05)

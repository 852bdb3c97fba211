"""One behaviour number, one digest: whoever changes what a run writes must say so."""

import pytest

from fleet.manifest import BEHAVIOUR
from fleet.scenario.scenario import bundled
from tests.pin_digests import CASES, HOW, contradictions, digest_of, pinned


@pytest.mark.parametrize("case", CASES)
def test_a_bundled_scenario_has_the_digest_of_its_behaviour_number(case):
    assert digest_of(*CASES[case]) == pinned().get(str(BEHAVIOUR), {}).get(case), HOW


def test_every_bundled_scenario_is_pinned():
    assert {name for name, _ in CASES.values()} == set(bundled())


def test_no_two_behaviours_are_pinned_as_one():
    every = [tuple(sorted(digests.items())) for digests in pinned().values()]

    assert len(set(every)) == len(every)
    assert max(int(number) for number in pinned()) == BEHAVIOUR


def test_a_digest_that_changed_under_its_number_is_a_contradiction():
    assert contradictions({"storm small": "a", "gone": "c"}, {"storm small": "b", "new": "d"}) == [
        "storm small: a was pinned, b comes out"
    ]

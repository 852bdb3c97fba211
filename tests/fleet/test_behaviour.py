"""One behaviour number, one digest: whoever changes what a run writes must say so."""

import pytest

from fleet.manifest import BEHAVIOUR
from fleet.scenario import bundled
from tests.pin_digests import HOW, SIZES, contradictions, digest_of, pinned

CASES = [(name, size) for name in bundled() for size in SIZES]


@pytest.mark.parametrize(("name", "size"), CASES, ids=[" ".join(case) for case in CASES])
def test_a_bundled_scenario_has_the_digest_of_its_behaviour_number(name, size):
    assert digest_of(name, SIZES[size]) == pinned().get(str(BEHAVIOUR), {}).get(f"{name} {size}"), HOW


def test_no_two_behaviours_are_pinned_as_one():
    every = [tuple(sorted(digests.items())) for digests in pinned().values()]

    assert len(set(every)) == len(every)
    assert max(int(number) for number in pinned()) == BEHAVIOUR


def test_a_digest_that_changed_under_its_number_is_a_contradiction():
    assert contradictions({"storm small": "a", "gone": "c"}, {"storm small": "b", "new": "d"}) == [
        "storm small: a was pinned, b comes out"
    ]

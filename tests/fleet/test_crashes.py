"""Workers and supervisors that are killed or stopped at any moment change nothing in what a run writes."""

import random

import pytest

from tests.runs import ROOT, records, storm
from tests.torture import Torture, compared

SEED = 20261125
KILLS = 30
OPTIONS = {"hosts": 40, "faults": 6000}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return records(storm(tmp_path_factory.mktemp("whole") / "run", **OPTIONS)[1])


@pytest.mark.slow
def test_thirty_kills_of_workers_and_supervisor_change_no_byte_and_leave_nobody(tmp_path, whole):
    chance = random.Random(SEED)
    done = 0
    while done < KILLS:
        torture = Torture(tmp_path / f"run-{done}", OPTIONS, chance)
        torture.run(KILLS - done)
        done += max(1, sum(torture.kills.values()))

        assert compared(torture.folder, whole) == [], (SEED, torture.kills, ROOT)

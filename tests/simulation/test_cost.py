"""What a fault costs, in a measure that no busy machine changes."""

from tests.bench.instructions import counted, simulate
from tests.runs import STORM, plan_of

FAULTS = 500  # fewer, and what is done once would weigh


def test_a_fault_of_the_storm_takes_less_than_six_thousand_instructions():
    instructions = counted(simulate(plan_of(STORM, hosts=50, faults=FAULTS)))

    assert 3000 < instructions.total() / FAULTS < 6000

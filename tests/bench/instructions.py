"""What a fault takes of the interpreter, by the part of the program: ``python -m tests.bench.instructions``.

Counted are bytecode instructions over the storm, so that the figures are the same on any machine, however busy it
is; they are those of one version of Python, and what runs in C (encoding, hashing, the kernel) is not in them.
"""

import sys
from collections import Counter
from pathlib import PurePath

from fleet.engine.outlet import ShardOutlet
from nodes.actor import Hosts
from tests.bench.rates import Planned, Row, show
from tests.runs import ROOT, STORM, plan_of

FAULTS = 3000


def counted(work):
    """The instructions that a piece of work takes in each function: code to count."""
    instructions = Counter()

    def trace(frame, event, _):
        if event == "opcode":
            instructions[frame.f_code] += 1
        else:
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return instructions


def part_of(code):
    """The part of the program that a function belongs to: a floor, or a module of the fleet."""
    path = PurePath(code.co_filename)
    if not path.is_relative_to(ROOT):
        return "Python's library"
    package, *rest = path.relative_to(ROOT).parts
    return f"{package}/{rest[0]}" if rest else package


def simulate(plan):
    """Every command of a plan through one partition's hosts, with the events encoded."""
    planned = Planned(plan)
    commands = planned.commands()
    hosts = Hosts(planned.roster, ShardOutlet(None, plan.epoch_ns), plan.epoch_ns)
    return lambda: [hosts.handle(command) for command in commands]


def rows():
    """The figures: of a fault, the largest first."""
    instructions = counted(simulate(plan_of(STORM, hosts=200, faults=FAULTS)))
    parts = Counter()
    for code, count in instructions.items():
        parts[part_of(code)] += count
    version = ".".join(map(str, sys.version_info[:2]))
    yield Row("instructions a fault", f"{sum(parts.values()) / FAULTS:,.0f}", f"of Python {version}, all parts")
    for part, count in parts.most_common():
        yield Row(f"  {part}", f"{count / FAULTS:,.0f}")


if __name__ == "__main__":
    show(rows())

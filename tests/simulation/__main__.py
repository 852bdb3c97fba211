"""Tell the story of a seed: ``python -m tests.simulation SEED [COMMANDS]``."""

import sys

from tests.simulation.checkers import broken
from tests.simulation.story import COMMANDS, play


def main():
    seed, *rest = map(int, sys.argv[1:])
    run = play(seed, rest[0] if rest else COMMANDS)
    print(*run.told, "", *run.events, "", sep="\n")
    promises = broken(run)
    for name, found in promises.items():
        print(f"{name}: {found}")
    return 1 if promises else 0


if __name__ == "__main__":
    sys.exit(main())

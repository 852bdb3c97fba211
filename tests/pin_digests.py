"""The digests of the bundled scenarios, pinned to the behaviour number in ``tests/golden/digests.json``.

Whoever changes what a run writes raises ``fleet.manifest.BEHAVIOUR``, so that nobody takes a run of one behaviour
for a run of another, and runs ``python -m tests.pin_digests``. That adds the digests under the new number. Under a
number that is pinned already it refuses to change one; ``--again`` does it all the same, which is right only as
long as no release has that number.
"""

import asyncio
import json
import sys
from pathlib import Path

from fleet.engine.run import Run
from fleet.manifest import BEHAVIOUR
from fleet.scenario.scenario import load
from tests.memory_log import MemoryLog
from tests.runs import SMALL, manifest_of, plan_of

PINNED = Path(__file__).parent / "golden" / "digests.json"
CASES = {  # a bundled scenario and options; each takes a few seconds at most
    "storm small": ("storm", SMALL),
    "storm whole": ("storm", {}),
    "stories": ("stories", {}),
    "stories on two hosts": ("stories", {"hosts": 2}),
    "large small": ("large", {"hosts": 100, "faults": 2000}),
    "fleet's first hour": ("fleet", {"until_s": 3600.0}),
}
HOW = (
    "The records of a run changed. If that was meant, raise fleet.manifest.BEHAVIOUR and run "
    "python -m tests.pin_digests; if it was not, this is a defect."
)


def digest_of(name, options):
    """The digest of a bundled scenario."""
    text = load(name)[0]
    plan = plan_of(text, **options)
    run = Run(MemoryLog(manifest_of(plan, text, **options)), plan)
    asyncio.run(run.run())
    return run.summary().digest


def pinned():
    """Behaviour number to scenario and size to digest."""
    return json.loads(PINNED.read_text()) if PINNED.exists() else {}


def contradictions(old, new):
    """Pinned digests that are others now."""
    return [
        f"{name}: {old[name]} was pinned, {digest} comes out"
        for name, digest in new.items()
        if old.get(name, digest) != digest
    ]


def main():
    everything = pinned()
    found = {case: digest_of(*of) for case, of in CASES.items()}
    wrong = contradictions(everything.get(str(BEHAVIOUR), {}), found)
    if wrong and sys.argv[1:] != ["--again"]:
        sys.exit("\n".join([*wrong, HOW]))
    everything[str(BEHAVIOUR)] = found
    PINNED.write_text(json.dumps(everything, indent=1) + "\n")
    print(f"{PINNED.name}: behaviour {BEHAVIOUR}, {len(found)} digests")


if __name__ == "__main__":
    main()

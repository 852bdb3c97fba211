"""What a fault of each kind comes to, in events and bytes of the log: ``python -m tests.bench.sizes``.

Prints the table that ``fleet.engine.estimate`` has. Hosts of the storm's shape, faults so far apart that few meet.
"""

import tempfile
from pathlib import Path

from fleet.engine.run import Run
from fleet.log.files import FileLog
from nodes.hardware.fault import FAULT_INDEX
from tests.runs import carried_out, manifest_of, plan_of

HOSTS = 100
FAULTS = 2000
SCENARIO = 'name = "sizes"\nduration_s = 86400.0\npartitions = 4\n[[hosts]]\ncount = {hosts}\n'
TABLE = '[[faults]]\nname = "x"\nmix = {{ {fault} = 1 }}\n'


def measured(text, folder, **options):
    """Events and bytes of a run."""
    plan = plan_of(text, **options)
    log = FileLog.create(folder, manifest_of(plan, text, **options))
    summary = carried_out(Run(log, plan), log).summary()
    return sum(summary.events.values()), sum(path.stat().st_size for path in folder.rglob("*.log"))


def rows():
    """Each kind of fault with its events and bytes, the clock's own left out."""
    with tempfile.TemporaryDirectory() as folder:
        empty = measured(SCENARIO.format(hosts=HOSTS), Path(folder) / "empty")
        yield "the clock", *(count / (1442 * 4) for count in empty)
        for fault in FAULT_INDEX:
            text = SCENARIO.format(hosts=HOSTS) + TABLE.format(fault=fault)
            found = measured(text, Path(folder) / fault, faults=FAULTS)
            yield fault, *((count - without) / FAULTS for count, without in zip(found, empty, strict=True))


def main():
    for name, events, size_bytes in rows():
        print(f'    "{name}": ({events:.1f}, {size_bytes:.0f}),')


if __name__ == "__main__":
    main()

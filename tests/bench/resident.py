"""What 2,000 hosts that met a storm take of the machine's memory: ``python -m tests.bench.resident``.

The difference of the resident size before and after, in a fresh process that reads its commands from a file one by
one, so that nothing is free that the hosts could use. tests.bench.memory counts what was asked for.
"""

import gc
import subprocess
import sys
import tempfile
from pathlib import Path

from fleet.codec import decode_command, encode
from nodes.actor import Hosts
from tests.bench.rates import Drop, Planned
from tests.runs import ROOT, STORM, plan_of

HOSTS, FAULTS = 2000, 20  # faults for each host
PAGE_BYTES = 4096  # unit of statm


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def write_commands(path):
    """Every command in the order of time, each behind its length."""
    planned = Planned(plan_of(STORM, hosts=HOSTS, faults=HOSTS * FAULTS))
    with path.open("wb") as file:
        for command in planned.commands():
            value = encode(command)
            file.write(len(value).to_bytes(2, "big") + value)


def bytes_for_each_host(path):
    """Resident bytes of a host, measured in this process, which should be a fresh one."""
    plan = plan_of(STORM, hosts=HOSTS, faults=HOSTS * FAULTS)
    for place in range(10):
        plan.roster.platform_at(place)  # what hosts share
    hosts = Hosts(plan.roster, Drop(), plan.epoch_ns, active_max=HOSTS)  # none is put away
    gc.collect()
    before = resident_bytes()
    with path.open("rb") as file:
        while length := file.read(2):
            hosts.handle(decode_command(file.read(int.from_bytes(length, "big"))))
    gc.collect()
    assert len(hosts.machines) == HOSTS, "every host is active"
    return (resident_bytes() - before) / HOSTS


def measured():
    """Resident bytes of a host."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "commands"
        write_commands(path)
        words = [sys.executable, "-m", "tests.bench.resident", str(path)]
        return float(subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


if __name__ == "__main__":
    print(f"{bytes_for_each_host(Path(sys.argv[1])) if sys.argv[1:] else measured():.0f}")

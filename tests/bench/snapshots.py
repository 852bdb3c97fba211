"""What putting the storm's hosts away takes: ``python -m tests.bench.snapshots``. Reports, never fails.

CPU time of this process, the best of some turns; sizes of the snapshots of every host at the storm's end.
"""

import time

from nodes.actor import Hosts
from nodes.stack.machine import Machine
from nodes.stack.snapshot import dismantle, restore, snapshot
from tests.bench.rates import Drop, Planned, Row, best, show
from tests.runs import STORM, plan_of

HOSTS, FAULTS, TURNS = 400, 20, 5  # faults for each host
ACTIVE = HOSTS // 8  # hosts in memory of a run that puts others away


def best_us(work):
    """The least CPU time of a piece of work that is done for every host, in microseconds a host."""
    return best(work, TURNS, time.process_time) / HOSTS * 1e6


def stormed(planned, active_max=HOSTS):
    """The storm's hosts after all that was planned."""
    hosts = Hosts(planned.roster, Drop(), planned.epoch_ns, active_max=active_max)
    for command in planned.commands():
        hosts.handle(command)
    return hosts


def rows():
    """The figures."""
    planned = Planned(plan_of(STORM, hosts=HOSTS, faults=HOSTS * FAULTS))
    hosts = stormed(planned)
    machines = list(hosts.machines.values())
    stored = [snapshot(machine) for machine in machines]
    sizes = sorted(map(len, stored))

    def fresh():
        return [Machine(one.name, one.index, one.home, hosts, epoch_ns=one.epoch_ns) for one in machines]

    def back():
        pairs = zip(machines, stored, strict=True)
        return [restore(kept, one.name, one.index, one.home, hosts, one.epoch_ns) for one, kept in pairs]

    def gone():
        for machine in back():
            dismantle(machine)

    restoring_us = best_us(back)
    yield Row("snapshot, mean", f"{sum(sizes) / len(sizes):.0f} bytes", f"storm's hosts, {FAULTS} faults each")
    yield Row("snapshot, 95 % at most", f"{sizes[len(sizes) * 95 // 100]} bytes")
    yield Row("snapshot, largest", f"{sizes[-1]} bytes")
    yield Row("taking a snapshot", f"{best_us(lambda: [snapshot(one) for one in machines]):.1f} us", "a host")
    yield Row("bringing a host back", f"{restoring_us:.1f} us")
    yield Row("making a fresh host", f"{best_us(fresh):.1f} us")
    yield Row("taking a host apart", f"{best_us(gone) - restoring_us:.1f} us")
    yield Row("checkpoint", f"{best_us(hosts.checkpoint):.1f} us", "a host in memory")
    free_us = best_us(lambda: stormed(planned))
    bound_us = best_us(lambda: stormed(planned, ACTIVE))
    yield Row(f"a storm with {ACTIVE} of {HOSTS} in memory : with all", f"{bound_us / free_us:.2f}", "simulating")


if __name__ == "__main__":
    show(rows())

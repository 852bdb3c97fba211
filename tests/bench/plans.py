"""What it takes to plan a million faults: ``python -m tests.bench.plans``, each plan in a process of its own."""

import json
import subprocess
import sys

from tests.bench import rates

RATE = """
name = "rate"
duration_s = 86400.0
[[hosts]]
name = "r{region}-w{row:02d}-k{rack:03d}-h{host:02d}"
regions = 4
rows = 25
racks = 250
count = 40
[[faults]]
name = "x"
rate_per_host_h = 0.04166666666
mix = { memory-ce = 60, cache-ce = 20, tlb-ce = 8, bus-ce = 5, pcie-ce = 7 }
"""
MEASURE = """
import json, resource, sys, time
from fleet.scenario.scenario import load
from tests.runs import plan_of
text, options = json.loads(sys.argv[1])
began = time.process_time()
plan = plan_of(load(text)[0] if text == "large" else text, **options)
count = sum(len(part) for batch in plan.batches() for part in batch.values())
used_s = time.process_time() - began
print(json.dumps([count, used_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
PLANS = {
    "10,000 hosts": ("large", {}),
    "1,000 hosts": ("large", {"hosts": 1000}),
    "1,000,000 hosts": ("large", {"hosts": 1_000_000}),
    "1,000,000 hosts by rate": (RATE, {}),
}


def rows():
    """The figures."""
    for name, plan in PLANS.items():
        words = [sys.executable, "-c", MEASURE, json.dumps(plan)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        count, used_s, resident_mib = json.loads(done.stdout)
        yield rates.Row(
            f"a plan of 10^6 faults, {name}",
            f"{used_s / count * 1e6:.1f} us",
            f"of CPU a command; {resident_mib:.0f} MiB",
        )


if __name__ == "__main__":
    rates.show(list(rows()))

"""Memory of an active host with four guests: ``python -m tests.bench.memory``. Reports, never fails.

Active: in the storm's mix of faults each host met twenty; its timers have fired, and nothing is on its way.
Counted is everything that was allocated for hosts, divided by their number; what they share is there before.
"""

import gc
import tracemalloc

from nodes.actor import Home
from nodes.events import ClockAdvanced
from nodes.events import commands as c
from nodes.hardware.fault import FAULT_INDEX
from nodes.linux.pages import GUEST_BASE
from nodes.policy import Switches
from nodes.stack.platform import HostShape, Platform, platform_of
from tests.hosts import Taking

HOSTS, FAULTS = 300, 20  # faults for each host
DAY_NS = 86_400_000_000_000
MIXES = {  # fault to share
    "corrected errors": {"memory-ce": 1},
    "the storm's mix": {
        "memory-ce": 60,
        "cache-ce": 20,
        "tlb-ce": 5,
        "memory-de": 4,
        "memory-uer": 3,
        "cache-uer": 2,
        "pcie-ce": 4,
        "memory-ueo": 2,
    },
    "uncorrected errors that guests meet": {"memory-uer": 1},
}


class _World:
    """A roster of hosts that are alike, and an outlet that keeps nothing."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def home_of(self, host: str) -> Home:
        return Home(int(host[1:]), self.platform)

    def publish(self, *_: object) -> None:
        pass

    def watermark(self, time_ns: int) -> None:
        pass


def bytes_for_each_host(mix: dict[str, int]) -> float:
    """Allocated bytes, over hosts that each met the mix."""
    platform = platform_of(HostShape(), Switches())
    world = _World(platform)
    deck = [FAULT_INDEX[name] for name, share in mix.items() for _ in range(share)]
    names = [f"h{place:05}" for place in range(HOSTS)]
    hosts = Taking(world, world, 0)
    hosts.handle(c.InjectFault(0, names[0], 1, 0, 1, deck[0], platform.address_of(0, GUEST_BASE)))
    hosts.handle(ClockAdvanced(0, "", 0, DAY_NS))
    gc.collect()
    tracemalloc.start()
    for k in range(HOSTS * FAULTS):
        draw = (k * 2_654_435_761 + 97) % (1 << 32)
        address = platform.address_of(draw % 4, GUEST_BASE + (draw << 6) % (4 << 30))
        name, time_ns = names[k % HOSTS], DAY_NS + k * DAY_NS // (HOSTS * FAULTS)
        hosts.handle(c.InjectFault(0, name, k + 1, time_ns, 0, deck[draw % len(deck)], address, draw % 4))
    hosts.handle(ClockAdvanced(0, "", 0, 3 * DAY_NS))
    gc.collect()
    allocated, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return allocated / HOSTS


def main() -> None:
    """One line for each mix."""
    for name, mix in MIXES.items():
        print(f"memory of a host with 4 guests, {FAULTS} faults: {bytes_for_each_host(mix):6.0f} bytes  ({name})")


if __name__ == "__main__":
    main()

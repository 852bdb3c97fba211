"""Hosts whose EL3 is looked at: by the facts that leave them."""

from nodes.events import commands as c
from nodes.policy import Aest, Handling
from tests.hosts import host as firmware_first

# ns after an exception: EL3 looks at it; its first call of the MM partition is back.
ENTERED, CALLED = 1_000, 61_000


def kernel_first(**switches):
    return firmware_first(handling=Handling.KERNEL_FIRST, aest=Aest.NONE, **switches)


def ran(host):
    host.run()
    return host


def facts(host, *kinds):
    """The events of the kinds with these names, oldest first; of every kind without a name."""
    return [event for event in host.events if not kinds or type(event).__name__ in kinds]


def count(host, kind):
    return len(facts(host, kind))


def stopped_by(host):
    """Why EL3 stopped the system: one reason each time."""
    return [event.reason for event in facts(host, "FirmwareStopped")]


def call_firmware(host, pe=0):
    host.do(c.CallFirmware, pe)


def set_pe(host, pe=0, el=0, masked=0, sdei_masked=0):
    host.do(c.SetPe, pe, el, masked, sdei_masked)


def pend(host, esr, guest=-1, el=0, pe=0):
    host.do(c.PendSError, esr, guest, el, pe)


__all__ = [
    "CALLED",
    "ENTERED",
    "call_firmware",
    "count",
    "facts",
    "firmware_first",
    "kernel_first",
    "pend",
    "ran",
    "set_pe",
    "stopped_by",
]

"""Snapshots of hosts: what a host is put away as, and what a checkpoint holds.

``snapshot`` and ``restore`` are each other's inverse: from a snapshot a host goes on as if it had never been away,
byte for byte. A host in which nothing differs but its counters is small. ``layout`` says what is stored.

Source: the design's sections 3 (actor) and 4 (resume).
"""

from nodes.stack.machine import Machine
from nodes.stack.snapshot.back import counted, glance, restore
from nodes.stack.snapshot.layout import SNAPSHOT_FORMAT, Glance, Waiting
from nodes.stack.snapshot.take import snapshot

__all__ = ["SNAPSHOT_FORMAT", "Glance", "Waiting", "counted", "dismantle", "glance", "restore", "snapshot"]


def dismantle(machine: Machine) -> None:
    """Take a host apart, so that its memory is free at once: its floors hold on to one another."""
    for guest in machine.guests.guests.values():
        guest.kernel.reset()
    machine.guests.guests = {}
    machine.kernel.retire()
    del machine.board.pes
    del machine.tasks, machine.guests, machine.board, machine.monitor, machine.kernel

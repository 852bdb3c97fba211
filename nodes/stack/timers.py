"""What a host comes back to later: the names of its timers.

A timer is due at a virtual time and carries up to three numbers; nothing else waits inside a host. Time decides
when it fires, then the host, then the order in which it was set.
"""

from enum import IntEnum


class Timer(IntEnum):
    """Why a host comes back."""

    EL3_ENTERED = 0  # PE, which of the host's lives
    EL3_CALLED = 1  # PE, which of the host's lives
    SDEI_DONE = 2  # PE, which of the host's lives
    HOST_FAILURE = 3
    AEST = 4  # RAS node
    POLL = 5  # source id
    COUNTDOWN = 6  # RAS node, which of its countdowns
    RETRY = 7  # guest, generation
    VMM_SIGBUS = 8  # guest, guest physical address, code
    GUEST_FAILURE = 9  # guest
    GUEST_CALL = 10  # guest
    GUEST_REBOOT = 11  # guest
    GUEST_RESTART = 12  # guest
    HOST_REBOOT = 13  # which fall, 1: the kernel hangs

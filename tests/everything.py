"""A snapshot in which every field of every part has another value than a fresh host's."""

import msgspec

from nodes.el3.section_bodies import Captured
from nodes.hardware.pe import Arriving
from nodes.ledger import Account
from nodes.linux.memory_failure import Flag
from nodes.linux.reader import Cached
from nodes.policy import Kernel, SwitchChanges
from nodes.stack.snapshot import layout as s
from nodes.stack.tasks import Consumer
from nodes.stack.timers import Timer
from tests.blocks import memory_block

BLOCK = memory_block(0xE000_0000, 0)
COUNTS = [*range(1, len(Account) + 1)]
COPY = s.StoredCopy(1, BLOCK, b"d" * 16, 3, 2)
WORK = s.StoredWork(
    4096, (COPY,), ((0x1000, Flag.SOFT_OFFLINE, 1),), {5: True, 7: False}, [(0x2000, 1)], True, True
)
CACHE = (Cached(b"c" * 16, 5, 1), None, Cached(b"d" * 16, 6, 0), None)
LINUX = s.StoredLinux(CACHE, (1, 2, 3, 1), {7: True, 9: False}, WORK)
IN_GUEST = s.StoredGuestState(
    True, True, 0x411, 0x8000_0411, 1, True, ((1, BLOCK),), False, True, True, True, True
)
GUEST_COPY = msgspec.structs.replace(COPY, source_id=0)
GUEST_LINUX = s.StoredLinux(CACHE, (1, 2, 3, 1), {8: True}, msgspec.structs.replace(WORK, queue=(GUEST_COPY,)))
GUEST = s.StoredGuest(2, 1, (1, s.StoredSource(0, BLOCK, 0, 1)), GUEST_LINUX, IN_GUEST)
RECORD = s.StoredRecord(0x101, 1, 2, 3, 4, 10, 5, 6, 7, 8, 1, 9, Account.PENDING)
PE = s.StoredPe(
    3, (0, 1, 2, 3), 1, 2, 1, 3, True, True, True, (Arriving(0x11, -1, 1),), 0x11, (0x101,), 2, 0x8000_0011, True
)
ENTRY = s.StoredEntry((1, 0), 3, 4, 5, 1, 1, True, 6, 7)
BUILT = {-1: ((Captured(1, 2, 3, 4, 5, 6), 1),)}
MONITOR = s.StoredMonitor(
    True, (ENTRY,), BUILT, True, {0: (806, 804), 1: (805,)}, {804: 3, 805: 1, 806: 0}, 60_000, (2,), (0x100,)
)
CONSUMERS = {-1: Consumer(0x3000, 1, 2, 3)}
CHANGES = SwitchChanges(kernel=Kernel.V6_19, ce_threshold=7)
STATE = s.StoredState(True, True, 2, 3, (0, 2), CONSUMERS, (0, 1), (1,), (2,), (PE,), MONITOR, CHANGES)
TIMERS = ((5, Timer.RETRY, (0, 1, 0)), (5, Timer.POLL, (2, 0, 0)), (9, Timer.SDEI_DONE, (0, 0, 0)))
SOURCES = (1, s.StoredSource(0, BLOCK, 0, 3))
EVERYTHING = s.StoredHost(
    s.SNAPSHOT_FORMAT, TIMERS, COUNTS, COUNTS, 11, 12, SOURCES, LINUX, {64: 1, 128: 0}, (RECORD,), (GUEST,), STATE
)

"""The hosts of one partition as asyncio actors: mail in, events out. The only file here that awaits.

Every host is an actor with its share of one bounded mailbox; one task drains them all, because a task and a queue
for each host cost more than the host. Commands are handled in the order in which they were sent. Before a command
at t every timer that is due up to t fires, over all hosts, in the order (time, host, timer); a command from the
past takes the clock's time. So what leaves does not depend on how the mail was cut into batches.

A host exists once it is touched. When many are in memory, those for which no timer waits and which were touched
longest ago are put away as their snapshots; one comes back when it is touched, and nobody can tell. So a machine
is good until the next command or question. A checkpoint holds all that the hosts of a partition are, and another
``Hosts`` goes on from it.

A command that cannot be done, whoever sent it, changes nothing but the clock: it is refused, in its turn, with the
reason. The scenario's commands and the clock's are numbered among themselves: one that is not the next is none.

Overload is back-pressure, never loss: ``send`` waits while the mailbox is full, and the hosts wait while ``flush``
does. When no mail comes for a moment, ``idle`` is called, between two commands: what was published need not wait.

Sources: the design's section 3, "Time" and "Actor".
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from heapq import heappop, heappush
from operator import attrgetter
from typing import Final, NamedTuple, Protocol

import msgspec

from nodes.events import ClockAdvanced, Event, Why
from nodes.events.commands import FAULT_COMMANDS, Command
from nodes.ledger import Ledger, LedgerSum
from nodes.spec.layout import Malformed
from nodes.spec.timestamp import timestamp_at
from nodes.stack.apply import apply
from nodes.stack.machine import NS_PER_S, Machine
from nodes.stack.platform import Platform
from nodes.stack.snapshot import SNAPSHOT_FORMAT, Waiting, counted, dismantle, glance, restore, snapshot
from nodes.stack.timers import Timer

_FAULTS: Final = frozenset(FAULT_COMMANDS)
MAILBOX_MAX: Final = 8192  # commands that wait; a sender waits at the bound
IDLE_S: Final = 0.05  # real time without mail, until what was published is not kept any longer
BATCH_MAX: Final = 1024  # commands handled before what they wrote is flushed
PLAN: Final = 0  # origin of the scenario's commands
ORIGINS_MAX: Final = (
    65_536  # whose last number is kept; a further one takes the place of the oldest, but the plan's
)
TIME_NS_MAX: Final = 1 << 62  # virtual, of anything: 146 years, and timers of hours behind it still fit
AHEAD_NS_MAX: Final = 3600 * NS_PER_S  # that the time of a command from outside may lie ahead of the clock
ACTIVE_MAX: Final = 1024  # hosts in memory; beyond, quiet ones are put away until half of it is left
_LAST_TOUCHED: Final = attrgetter("now", "index")


class Home(NamedTuple):
    """Where a host belongs: its place among all hosts, and its platform."""

    place: int
    platform: Platform


class Roster(Protocol):
    """Which hosts there are."""

    def home_of(self, host: str) -> Home | None:
        """The home of a host; None for a name that nobody has."""


class Outlet(Protocol):
    """Where events go."""

    def publish(
        self, kind: type[Event], host: str, sequence: int, time_ns: int, fields: tuple[object, ...]
    ) -> None:
        """An event of a host."""

    def watermark(self, time_ns: int) -> None:
        """No later event is earlier than this time."""

    async def flush(self) -> None:
        """What was published since the last flush becomes durable; waits while the log is slower."""


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """Where a partition stands apart from its hosts; fields are only ever appended, with defaults."""

    format: int
    clock_ns: int
    handled: list[tuple[int, int]]  # origin, highest number handled
    ignored: int
    unknown: int
    faults: int
    mark_ns: int  # the last watermark
    planned: int = 0  # number of the plan's next command


Mail = Command | ClockAdvanced | Why  # Why: what stood there is no command


class Hosts:
    """The hosts of one partition, their clock and their timers."""

    __slots__ = (
        "_active_max",
        "_away",
        "_away_sums",
        "_handled",
        "_mark_ns",
        "_outlet",
        "_planned",
        "_roster",
        "_sweep_at",
        "_timers",
        "_timers_set",
        "clock_ns",
        "epoch_ns",
        "faults",
        "ignored",
        "machines",
        "publish",
        "unknown",
    )

    def __init__(self, roster: Roster, outlet: Outlet, epoch_ns: int, *, active_max: int = ACTIVE_MAX) -> None:
        self._roster = roster
        self._outlet = outlet
        self.publish = outlet.publish  # what a machine asks for, without a step in between
        self.epoch_ns = epoch_ns  # real time of virtual time 0, ns since 1970
        self.clock_ns = 0
        self._mark_ns = -1  # the last watermark
        self.faults = 0  # commands that injected one
        self.machines: dict[str, Machine] = {}  # those in memory
        self._away: dict[str, bytes] = {}  # snapshots of those put away; no timer waits for them
        self._away_sums = LedgerSum(), LedgerSum()  # their ledgers: of hosts, of guests
        self._active_max = active_max
        self._sweep_at = active_max  # hosts in memory at which some are put away before the next comes
        self.ignored = 0  # commands that were handled before
        self.unknown = 0  # commands for hosts that do not exist
        self._handled: dict[int, int] = {}  # origin -> highest number handled; in the order in which they came
        self._planned = 0  # number of the plan's next command
        self._timers: list[tuple[int, int, int, Machine, Timer, tuple[int, int, int]]] = []
        self._timers_set = 0

    def set_timer(self, time_ns: int, machine: Machine, timer: Timer, numbers: tuple[int, int, int]) -> None:
        """A machine wants to come back."""
        self._timers_set += 1
        heappush(self._timers, (time_ns, machine.index, self._timers_set, machine, timer, numbers))

    def timestamp(self, epoch_s: int) -> bytes:
        """A time in seconds since 1970 as firmware writes it."""
        return timestamp_at(epoch_s)

    def advance(self, time_ns: int) -> None:
        """Move the clock, and fire every timer that is due by then."""
        timers = self._timers
        while timers and timers[0][0] <= time_ns:
            due_ns, _, _, machine, timer, numbers = heappop(timers)
            machine.fire(due_ns, timer, numbers)
        self.clock_ns = max(self.clock_ns, time_ns)

    def handle(self, mail: Mail) -> Why | None:
        """One command, in its turn; why it was not done. One that was sent before changes nothing.

        Nor does a clock that stands. What has a number that the plan had before is a repetition, whatever it says.
        """
        if isinstance(mail, Why):
            return mail
        untimely = self.untimely(mail)
        if untimely is not None:
            return untimely
        if isinstance(mail, ClockAdvanced) or mail.origin == PLAN:
            if mail.n < self._planned:
                self.ignored += not isinstance(mail, ClockAdvanced)
                return None
            self._planned += 1
        self.advance(mail.time_ns)
        if isinstance(mail, ClockAdvanced):
            if mail.time_ns > self._mark_ns:
                self._mark_ns = mail.time_ns
                self._outlet.watermark(self.clock_ns)
            return None
        return self._do(mail)

    def untimely(self, mail: Command | ClockAdvanced) -> Why | None:
        """Why a command cannot come now, whatever it is."""
        if mail.time_ns > TIME_NS_MAX:
            return Why.OUT_OF_RANGE
        if isinstance(mail, ClockAdvanced) or mail.origin == PLAN:
            return Why.OUT_OF_PLAN if mail.n > self._planned else None
        return Why.FAR_AHEAD if mail.time_ns > self.clock_ns + AHEAD_NS_MAX else None

    def _do(self, command: Command) -> Why | None:
        """What its host does, unless it was sent before."""
        last = self._handled.get(command.origin)
        if command.sequence <= (last or 0):
            self.ignored += 1
            return None
        if last is None and len(self._handled) >= ORIGINS_MAX:
            del self._handled[next(origin for origin in self._handled if origin != PLAN)]
        self._handled[command.origin] = command.sequence
        machine = self.machine(command.host)
        if machine is None:
            self.unknown += 1
            return Why.UNKNOWN_HOST
        if not machine.platform.limits.admit(command):
            return Why.OUT_OF_RANGE
        self.faults += type(command) in _FAULTS
        apply(machine, command, self.clock_ns)
        return None

    def machine(self, host: str) -> Machine | None:
        """A host, made when first touched, brought back when put away; None for a name that nobody has."""
        machine = self.machines.get(host)
        return machine if machine is not None else self._bring(host)

    def _bring(self, host: str) -> Machine | None:
        home = self._roster.home_of(host)
        if home is None:
            return None
        if len(self.machines) >= self._sweep_at:
            self._sweep()
        stored = self._away.pop(host, None)
        if stored is None:
            machine = Machine(host, home.place, home.platform, self, epoch_ns=self.epoch_ns)
        else:
            machine = restore(stored, host, home.place, home.platform, self, self.epoch_ns)
            for total, ledger in zip(self._away_sums, (machine.ledger, machine.guests.ledger), strict=True):
                total.take(ledger)
        self.machines[host] = machine
        return machine

    def _sweep(self) -> None:
        """Put quiet hosts away, those touched longest ago first. The next sweep waits for as many as are left."""
        waiting = {place for _, place, *_ in self._timers}
        quiet = [machine for machine in self.machines.values() if machine.index not in waiting]
        quiet.sort(key=_LAST_TOUCHED)
        for machine in quiet[: len(self.machines) - self._active_max // 2]:
            self._put_away(machine)
        self._sweep_at = max(self._active_max, 2 * len(self.machines))

    def _put_away(self, machine: Machine) -> None:
        self._away[machine.name] = snapshot(machine)
        for total, ledger in zip(self._away_sums, (machine.ledger, machine.guests.ledger), strict=True):
            total.add(ledger)
        del self.machines[machine.name]
        dismantle(machine)

    def ledgers(self) -> tuple[Ledger, Ledger]:
        """Where every error of these hosts is: of the hosts, and of their guests."""
        hosts, guests = (total.copy() for total in self._away_sums)
        for machine in self.machines.values():
            hosts.add(machine.ledger)
            guests.add(machine.guests.ledger)
        return hosts.ledger(), guests.ledger()

    def checkpoint(self) -> tuple[bytes, dict[str, bytes]]:
        """Where the partition stands, and the snapshot of every host that was ever touched, by name."""
        standing = Standing(
            SNAPSHOT_FORMAT,
            self.clock_ns,
            list(self._handled.items()),
            self.ignored,
            self.unknown,
            self.faults,
            self._mark_ns,
            self._planned,
        )
        waiting: dict[int, list[Waiting]] = {}
        for time_ns, place, _, _, timer, numbers in sorted(self._timers):
            waiting.setdefault(place, []).append((time_ns, timer, numbers))
        hosts = self._away | {
            name: snapshot(machine, waiting.get(machine.index, ())) for name, machine in self.machines.items()
        }
        return msgspec.msgpack.encode(standing), dict(sorted(hosts.items()))

    def resume(self, standing: bytes, hosts: dict[str, bytes]) -> None:
        """Go on from a checkpoint, in hosts that nothing was done to. Raises Malformed.

        Those for which a timer waits come back at once, the others when they are touched.
        """
        assert not any((self.machines, self._away, self._handled, self.clock_ns)), "something was done already"
        found = _standing(standing)
        self.clock_ns, self.ignored, self.unknown = found.clock_ns, found.ignored, found.unknown
        self.faults, self._mark_ns = found.faults, found.mark_ns
        self._handled = dict(found.handled)
        self._planned = found.planned
        for host, stored in hosts.items():
            self._resume_host(host, stored)

    def _resume_host(self, host: str, stored: bytes) -> None:
        seen = glance(stored)
        self._away[host] = stored
        for total, counts in zip(self._away_sums, (seen.ledger, seen.guests_ledger), strict=True):
            total.add(counted(counts))
        if seen.timers and self._bring(host) is None:
            raise Malformed("checkpoint", 0, f"nobody is called {host}")


def check_readable(standing: bytes) -> None:
    """Raises Malformed where another program wrote a checkpoint, with another layout of hosts."""
    _standing(standing)


def _standing(standing: bytes) -> Standing:
    try:
        found = msgspec.msgpack.decode(standing, type=Standing)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise Malformed("checkpoint", 0, str(fault)) from None
    if found.format != SNAPSHOT_FORMAT:
        raise Malformed("checkpoint", 0, f"it has layout {found.format}, this program reads {SNAPSHOT_FORMAT}")
    return found


def _nobody(_: int, __: Why) -> None:
    """Nobody wants to know."""


class Actors:
    """The task that drains the mailbox of a partition's hosts."""

    def __init__(
        self, hosts: Hosts, outlet: Outlet, *, mailbox_max: int = MAILBOX_MAX, batch_max: int = BATCH_MAX
    ) -> None:
        assert batch_max > 0, "a batch holds at least one command"
        self.hosts = hosts
        self.handled = 0  # commands that went through
        self.done: Callable[[], None] | None = None  # called behind each batch
        self.idle: Callable[[], Awaitable[None]] | None = None  # called when no mail has come for a while
        self.refused: Callable[[int, Why], None] = (
            _nobody  # how many were handled before, and why this one was not
        )
        self._outlet = outlet
        self._mailbox: deque[Mail] = deque()
        self._mailbox_max = mailbox_max
        self._batch_max = batch_max
        self._changed = asyncio.Condition()
        self._closed = False
        self._stopped = False

    async def send(self, commands: Sequence[Mail]) -> None:
        """Put commands into the mailbox, in order; waits while it is full."""
        sent = 0
        while sent < len(commands):
            async with self._changed:
                await self._changed.wait_for(lambda: len(self._mailbox) < self._mailbox_max)
                if self._stopped:
                    return
                upto = sent + self._mailbox_max - len(self._mailbox)
                self._mailbox.extend(commands[sent:upto])
                self._changed.notify_all()
            sent = upto

    def stop(self) -> None:
        """Handle nothing more: mail that waits is let go of, as is what is sent from now on."""
        self._stopped = True
        self._mailbox.clear()

    async def close(self) -> None:
        """No more mail: ``run`` ends when the mailbox is empty."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def run(self) -> None:
        """Handle mail until it ends."""
        while True:
            await self._wait_for_mail()
            if not self._mailbox:
                break
            count = min(self._batch_max, len(self._mailbox))
            for index in range(count):
                why = self.hosts.handle(self._mailbox.popleft())
                if why is not None:
                    self.refused(self.handled + index, why)
            self.handled += count
            await self._outlet.flush()
            if self.done is not None:
                self.done()
            async with self._changed:
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()  # mail that was let go of made room, and nobody has said so

    async def _wait_for_mail(self) -> None:
        """Until there is some, or will be none."""
        if self.idle is not None and not self._mailbox and not self._closed:
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._mail()
            except TimeoutError:
                await self.idle()
        await self._mail()

    async def _mail(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._mailbox or self._closed or self._stopped)

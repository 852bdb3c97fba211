"""A shard: one partition's commands go through its hosts, and their events are written in command order.

Source: the design's sections 3 (time) and 4 (events, resume).
"""

from typing import Final, cast

from fleet.codec import EVENT_SIZE_MAX, encode
from fleet.digest import PartitionDigest
from fleet.log.protocol import EventWriter, Written
from nodes.actor import Actors, Hosts, Roster
from nodes.events import HOST_TOPICS, OUTCOME, ClockAdvanced, Event
from nodes.ledger import Ledger

NS_PER_MS: Final = 1_000_000
MAILBOX_COMMANDS: Final = 1024  # that wait in front of a shard; what a stop still has to go through
COMMIT_BYTES: Final = 512 * 1024  # what is published before it is written, unless the run ends


class Output:
    """The next position and the unwritten records of one topic."""

    __slots__ = ("digest", "n", "unwritten")

    def __init__(self) -> None:
        self.n = 0
        self.unwritten: list[Written] = []
        self.digest = PartitionDigest()


class ShardOutlet:
    """Where the events of a shard go: encoded at once, written in commits."""

    __slots__ = ("_epoch_ms", "_keys", "_size", "_writer", "commit_bytes", "outcomes", "outputs")

    def __init__(self, writer: EventWriter, epoch_ns: int, *, commit_bytes: int = COMMIT_BYTES) -> None:
        self._writer = writer
        self._epoch_ms = epoch_ns // NS_PER_MS
        self._keys: dict[str, bytes] = {}
        self._size = 0
        self.commit_bytes = commit_bytes
        self.outputs = {topic: Output() for topic in HOST_TOPICS}
        self.outcomes: dict[tuple[type[Event], int], int] = {}  # kind, level -> events

    def publish(
        self, kind: type[Event], host: str, sequence: int, time_ns: int, fields: tuple[object, ...]
    ) -> None:
        """An event of a host."""
        topic = kind.topic
        if topic is OUTCOME:
            key = kind, cast("int", fields[0] if kind.level is None else kind.level)
            self.outcomes[key] = self.outcomes.get(key, 0) + 1
        output = self.outputs[topic]
        self._add(output, host, time_ns, encode(kind(output.n, host, sequence, time_ns, *fields)))

    def _add(self, output: Output, host: str, time_ns: int, value: bytes) -> None:
        assert len(value) <= EVENT_SIZE_MAX, f"{host}: an event of {len(value)} bytes"
        key = self._keys.get(host)
        if key is None:
            key = self._keys[host] = host.encode()
        output.n += 1
        output.unwritten.append(Written(self._epoch_ms + time_ns // NS_PER_MS, key, value))
        self._size += len(value)

    def watermark(self, time_ns: int) -> None:
        """No later event is earlier than this time: said in every topic."""
        for output in self.outputs.values():
            self._add(output, "", time_ns, encode(ClockAdvanced(output.n, "", 0, time_ns)))

    async def flush(self) -> None:
        """Write when enough has come together."""
        if self._size >= self.commit_bytes:
            await self.commit()

    async def commit(self) -> None:
        """Write everything that was published."""
        batches = {topic: output.unwritten for topic, output in self.outputs.items() if output.unwritten}
        for topic, records in batches.items():
            output = self.outputs[topic]
            output.unwritten = []
            output.digest.add([record.value for record in records])
        self._size = 0
        await self._writer.commit(batches)


class Shard:
    """One partition at work."""

    def __init__(self, partition: int, roster: Roster, writer: EventWriter, epoch_ns: int) -> None:
        self.partition = partition
        self.outlet = ShardOutlet(writer, epoch_ns)
        self.hosts = Hosts(roster, self.outlet, epoch_ns)
        self.actors = Actors(self.hosts, self.outlet, mailbox_max=MAILBOX_COMMANDS)
        self._writer = writer

    async def run(self) -> None:
        """Handle mail until it ends, and leave everything written."""
        try:
            await self.actors.run()
            await self.outlet.commit()
        finally:
            await self._writer.close()

    def ledgers(self) -> tuple[Ledger, Ledger]:
        """Where every error of these hosts is: of the hosts, and of their guests."""
        host, guests = Ledger(), Ledger()
        for machine in self.hosts.machines.values():
            host.add(machine.ledger)
            guests.add(machine.guests.ledger)
        return host, guests

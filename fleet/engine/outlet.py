"""Where the events of a shard go: turned into their bytes as they come, written in commits.

An event is encoded where it is published: until its commit it takes a few dozen bytes, and the objects that it was
made of are gone before they leave the processor's caches.

Source: the design's section 4 (events).
"""

import os
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from fleet.codec import EVENT_SIZE_MAX, encode
from fleet.digest import PartitionDigest
from fleet.engine.standing import Skipping
from fleet.log.protocol import LOST, Checkpoint, Record
from nodes.events import (
    COMMAND,
    DEAD_LETTER,
    HOST_EVENTS,
    HOST_TOPICS,
    OUTCOME,
    SHARD_TOPICS,
    ClockAdvanced,
    CommandRefused,
    Event,
    Level,
    Why,
)
from nodes.events.letters import KEY_SIZE_MAX, VALUE_SIZE_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

NS_PER_MS: Final = 1_000_000
COMMIT_BYTES: Final = 512 * 1024  # what is published before it is written, unless the run ends
CHECKPOINT_BYTES: Final = int(  # of events between two checkpoints, at least; less is for those who test recovery
    os.environ.get("RASFLEET_CHECKPOINT_BYTES", "4194304")
)
CHECKPOINT_RATIO: Final = 4  # so many times the last checkpoint's bytes of events lie between two, at least
KEYS_MAX: Final = 65_536  # encoded names of hosts that are kept
_KINDS: Final = {cast("int", kind.__struct_config__.tag): kind for kind in HOST_EVENTS}
_HEAD: Final = len(Event.__struct_fields__)
_NOT_COUNTED, _BY_FIRST = -2, -1  # in place of a place in the counts: no outcome; its first field says the level
_COUNTS: Final = 8  # places for levels, at least as many as there are
assert len(Level) <= _COUNTS, "every level has its place"


def _counted_at(kind: type[Event], tag: int) -> int:
    """Where an outcome is counted."""
    if kind.topic != OUTCOME:
        return _NOT_COUNTED
    return _BY_FIRST if kind.level is None else tag * _COUNTS + kind.level


class Refused(NamedTuple):
    """A command that was not done, and where it stands."""

    why: Why
    partition: int
    offset: int
    key: bytes
    value: bytes


class Output:
    """The next position of one topic, and what was published since the last commit."""

    __slots__ = ("digest", "n", "records")

    def __init__(self) -> None:
        self.n = 0
        self.records: list[Record] = []
        self.digest = PartitionDigest()

    def take(self) -> list[Record]:
        """What was published, to be written; it is counted in the digest."""
        records, self.records = self.records, []
        values = [value for _, _, value in records]
        assert max(map(len, values)) <= EVENT_SIZE_MAX, f"{self.n}: an event beyond {EVENT_SIZE_MAX} bytes"
        self.digest.add(values)
        return records


# Of a kind: its output, its tag, the defaults of its last fields, the number of fields, where it is counted.
_Wire = tuple[Output, int, tuple[Any, ...], int, int]


class ShardOutlet:
    """Where the events of a shard go: kept as they come, written in commits, at times with a checkpoint."""

    __slots__ = (
        "_due",
        "_epoch_ms",
        "_keys",
        "_size",
        "_wires",
        "_writer",
        "checkpoint_bytes",
        "checkpoint_of",
        "commit_bytes",
        "counts",
        "letters",
        "outputs",
        "writing_bytes",
    )

    def __init__(
        self,
        writer: Skipping,
        epoch_ns: int,
        *,
        commit_bytes: int = COMMIT_BYTES,
        checkpoint_bytes: int = CHECKPOINT_BYTES,
    ) -> None:
        self._writer = writer
        self._epoch_ms = epoch_ns // NS_PER_MS
        self._keys: dict[str, bytes] = {}
        self._size = 0  # bytes published that no commit has
        self.writing_bytes = 0  # of the commit that waits for its acknowledgement
        self._due = checkpoint_bytes  # bytes of events until the next checkpoint
        self.commit_bytes = commit_bytes
        self.checkpoint_bytes = checkpoint_bytes
        self.checkpoint_of: Callable[[], Checkpoint] | None = None
        self.outputs = {topic: Output() for topic in SHARD_TOPICS}
        self.letters: Counter[Why] = Counter()
        self.counts = [0] * (_COUNTS * (max(_KINDS) + 1))  # of outcomes, by tag and level
        self._wires: dict[type[Event], _Wire] = {
            kind: (
                self.outputs[kind.topic],
                tag,
                kind.__struct_defaults__,
                len(kind.__struct_fields__) - _HEAD,
                _counted_at(kind, tag),
            )
            for tag, kind in _KINDS.items()
            if kind is not ClockAdvanced
        }

    def publish(self, kind: type[Event], host: str, sequence: int, time_ns: int, fields: tuple[Any, ...]) -> None:
        """An event of a host: ``kind(n, host, sequence, time_ns, *fields)`` with the next ``n`` of its topic."""
        output, tag, defaults, width, at = self._wires[kind]
        if defaults and len(fields) < width:
            fields += defaults[len(fields) - width :]
        n = output.n
        output.n = n + 1
        value = encode((tag, n, host, sequence, time_ns) + fields)  # noqa: RUF005 (for each event: no list between)
        self._size += len(value)
        key = self._keys.get(host) or self._key(host)
        output.records.append((self._epoch_ms + time_ns // NS_PER_MS, key, value))
        if at >= 0:
            self.counts[at] += 1
        elif at == _BY_FIRST:
            self.counts[tag * _COUNTS + fields[0]] += 1

    def _key(self, host: str) -> bytes:
        if len(self._keys) >= KEYS_MAX:
            self._keys.clear()
        key = self._keys[host] = host.encode()
        return key

    def watermark(self, time_ns: int) -> None:
        """No later event is earlier than this time: said in every topic."""
        for topic in HOST_TOPICS:
            output = self.outputs[topic]
            self._append(output, ClockAdvanced(output.n, "", 0, time_ns))

    def refuse(self, refused: Refused, time_ns: int) -> None:
        """A command was not done: its letter says why and where it stands."""
        why, partition, offset, key, value = refused
        self.letters[why] += 1
        output = self.outputs[DEAD_LETTER]
        kept, size = (b"", 0) if value == LOST else (value[:VALUE_SIZE_MAX], len(value))
        place = (COMMAND, partition, offset)
        self._append(
            output, CommandRefused(output.n, "", 0, time_ns, int(why), *place, key[:KEY_SIZE_MAX], kept, size)
        )

    def _append(self, output: Output, event: Event) -> None:
        """An event that no host says."""
        value = encode(event)
        output.n += 1
        self._size += len(value)
        output.records.append((self._epoch_ms + event.time_ns // NS_PER_MS, b"", value))

    @property
    def outcomes(self) -> dict[tuple[type[Event], int], int]:
        """How many outcomes were published, by kind and level."""
        return {(_KINDS[at // _COUNTS], at % _COUNTS): count for at, count in enumerate(self.counts) if count}

    @property
    def waiting_bytes(self) -> int:
        """Published and not acknowledged."""
        return self._size + self.writing_bytes

    async def flush(self) -> None:
        """Write when enough has come together."""
        if self._size >= self.commit_bytes:
            await self.commit()

    async def settle(self) -> None:
        """Write what there is: nothing more comes for now."""
        if self._size:
            await self.commit()

    async def commit(self, *, last: bool = False) -> None:
        """Write everything that was published; the last commit has a checkpoint."""
        batches = {topic: output.take() for topic, output in self.outputs.items() if output.records}
        self._due -= self._size
        self.writing_bytes, self._size = self._size, 0
        checkpoint = None
        if self.checkpoint_of is not None and (last or self._due <= 0):
            checkpoint = self.checkpoint_of()
            size = sum(map(len, checkpoint.hosts.values()))
            self._due = max(self.checkpoint_bytes, CHECKPOINT_RATIO * size)
        await self._writer.commit(batches, checkpoint)
        self.writing_bytes = 0

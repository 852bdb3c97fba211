"""What a process did and how its shards stand, as numbers: for a supervisor, and for those who watch a run.

Counts are of one process since it began, whatever shards came and went: they only go up, so that a rate can be
made of them. Where a shard stands is told for each shard that is at work.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from fleet.engine.shard import Shard

BEGINNING: Final = "beginning"


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """What was done."""

    commands: int = 0  # handled, the clock's included
    faults: int = 0
    waited_s: float = 0.0  # real time, for all commits
    events: dict[str, int] = {}  # by topic: published, those left out that stood in the log already
    skipped: dict[str, int] = {}  # by topic: those that did, compared while resuming
    dead: dict[str, int] = {}  # by reason: commands that went to the dead letters
    waits: dict[int, int] = {}  # by place in WAITS_S, the shortest that is enough: commits that were acknowledged

    def plus(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(
            self.commands + other.commands,
            self.faults + other.faults,
            self.waited_s + other.waited_s,
            *(_sum(ours, theirs) for ours, theirs in zip(_mappings(self), _mappings(other), strict=True)),
        )

    def since(self, before: "Tally") -> "Tally":
        """What was done since an earlier look."""
        return Tally(
            self.commands - before.commands,
            self.faults - before.faults,
            self.waited_s - before.waited_s,
            *(_difference(now, then) for now, then in zip(_mappings(self), _mappings(before), strict=True)),
        )


class Stand(msgspec.Struct, frozen=True, array_like=True):
    """Where one shard stands."""

    partition: int
    offset: int  # of the next command
    time_ns: int  # virtual
    waiting_bytes: int  # of events that are published and not acknowledged
    is_writing: bool  # a commit waits for its acknowledgement


class Facts(NamedTuple):
    """How a process stands."""

    tally: Tally = Tally()
    stands: Sequence[Stand] = ()  # of the shards that are at work
    ends: Mapping[int, int] = {}  # by partition: the offset behind its last command, as far as is known
    restarts: int = 0  # of workers
    rebalances: int = 0  # how often the group's partitions were left
    unready: str = BEGINNING  # why no work should be expected of it; "": it is ready
    compression: float | None = None  # virtual seconds in a real one, lately


class Counted:
    """The tally of a process over the shards that it has and had."""

    def __init__(self) -> None:
        self._gone = Tally()
        self._began: dict[Shard, Tally] = {}

    def begin(self, shard: "Shard") -> None:
        """A shard gets to work; what it stands for was done before."""
        self._began[shard] = tally_of(shard)

    def end(self, shard: "Shard") -> None:
        """A shard is left."""
        self._gone = self._gone.plus(tally_of(shard).since(self._began.pop(shard)))

    def tally(self) -> Tally:
        """Everything so far."""
        whole = self._gone
        for shard, began in self._began.items():
            whole = whole.plus(tally_of(shard).since(began))
        return whole


def tally_of(shard: "Shard") -> Tally:
    """What was done in a partition up to now, by whomever."""
    skipped = shard.skipped
    return Tally(
        commands=shard.commands,
        faults=shard.hosts.faults,
        events={topic: output.n - skipped.get(topic, 0) for topic, output in shard.outlet.outputs.items()},
        skipped=dict(skipped),
        dead={why.name.lower(): count for why, count in shard.outlet.letters.items()},
        waits=dict(shard.waits.counts),
        waited_s=shard.waits.seconds,
    )


def stand_of(shard: "Shard") -> Stand:
    """Where a shard stands."""
    outlet = shard.outlet
    return Stand(
        shard.partition, shard.offset, shard.hosts.clock_ns, outlet.waiting_bytes, outlet.writing_bytes > 0
    )


def together(tallies: Iterable[Tally]) -> Tally:
    """Several tallies as one."""
    whole = Tally()
    for tally in tallies:
        whole = whole.plus(tally)
    return whole


def _mappings(tally: Tally) -> tuple[dict[Any, int], ...]:
    return tally.events, tally.skipped, tally.dead, tally.waits


def _sum(ours: Mapping[Any, int], theirs: Mapping[Any, int]) -> dict[Any, int]:
    return dict(Counter(ours) + Counter(theirs))


def _difference(now: Mapping[Any, int], then: Mapping[Any, int]) -> dict[Any, int]:
    return {name: count - then.get(name, 0) for name, count in now.items()}

"""What a worker tells its supervisor, on standard output: how far it is, and what people should know."""

import os
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Final

from fleet.engine.messages import FromWorker, Progress, packed
from fleet.engine.shard import Shard
from fleet.service.figures import Tally, stand_of

PROGRESS_S: Final = 0.25  # between two reports
_TURN: Final = threading.Lock()  # of those who say something


def progress_of(shards: Sequence[Shard], tally: Tally, working: Iterable[Shard]) -> Progress:
    """How far some shards are, what their process did, and which of them are at work."""
    places = [shard.place() for shard in shards]
    outcomes: dict[str, int] = {}
    for shard in shards:
        for (kind, level), count in shard.outlet.outcomes.items():
            name = f"{level} {kind.__name__}"
            outcomes[name] = outcomes.get(name, 0) + count
    return Progress(
        commands=sum(place.commands for place in places),
        faults=sum(shard.hosts.faults for shard in shards),
        events=sum(place.events for place in places),
        time_ns=min((place.time_ns for place in places), default=0),
        outcomes=outcomes,
        tally=tally,
        stands=[stand_of(shard) for shard in working],
    )


def tell(message: FromWorker) -> None:
    """Say something to the supervisor; waits while it does not listen. One that is gone ends this process."""
    octets = memoryview(packed(message))
    try:
        with _TURN:
            while octets:
                octets = octets[os.write(sys.stdout.fileno(), octets) :]
    except BrokenPipeError:
        os._exit(1)  # what was handled and not written comes again when the run is resumed

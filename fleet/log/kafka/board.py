"""What is said about a run while it goes on, read as it comes: its end, and what its shards came to.

Source: ``fleet.log.kafka.manifests`` has the topic.
"""

from collections import Counter
from typing import TypeVar

from fleet.log.kafka.manifests import decoded
from fleet.log.kafka.reader import Reader

Told = TypeVar("Told")


class Board:
    """The last value of each of a run's keys. One task reads it, in the loop of the log."""

    def __init__(self, run: str, reader: Reader) -> None:
        self._head = f"{run}/"
        self._reader = reader
        self._said: dict[str, bytes] = {}
        self._heard: Counter[str] = Counter()

    async def catch_up(self) -> None:
        """Read everything that stands there now. Raises LogError."""
        end = await self._reader.end()
        while self._reader.position < end:
            await self.look(1.0)

    async def look(self, wait_s: float) -> None:
        """Read what has come; waits a while for it. Raises LogError."""
        for entry in await self._reader.next(wait_s):
            key = entry.key.decode(errors="replace")
            if key.startswith(self._head):
                what = key.removeprefix(self._head)
                self._said[what] = entry.value
                self._heard[what] += 1

    def told(self, what: str, kind: type[Told]) -> Told | None:
        """What is said under a key; None where nothing is. Raises CorruptLog."""
        stored = self._said.get(what)
        return decoded(self._head + what, stored, kind) if stored else None

    def has(self, what: str) -> bool:
        """Whether something is said under a key."""
        return bool(self._said.get(what))

    def heard(self, what: str) -> int:
        """How often something was said under a key, or taken back."""
        return self._heard[what]

    def end(self) -> list[int] | None:
        """By partition, the offsets behind which no command of the scenario comes."""
        return self.told("end", list[int])

    def shards(self, partitions: int, kind: type[Told]) -> dict[int, Told]:
        """What those partitions came to that have ended."""
        found = {partition: self.told(f"shard/{partition}", kind) for partition in range(partitions)}
        return {partition: told for partition, told in found.items() if told is not None}

    async def close(self) -> None:
        """Be done with it."""
        await self._reader.close()

"""The one topic that all runs share: what each run is, where its commands end, and what it came to.

    <run>                    its manifest, JSON
    <run>/writer             who writes its plan (fleet.log.kafka.turn), JSON
    <run>/end                the offsets behind which no command of the scenario comes, JSON
    <run>/shard/<partition>  what a shard came to, JSON
    <run>/summary            what the run came to, JSON; nothing while it runs

Compacted, so the last value of a key counts; one without bytes is none.

Source: the design's section 4, "A run has a name and a manifest".
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from fleet.log.kafka.names import ANY_BYTES, RUNS
from fleet.log.kafka.reader import Reader
from fleet.log.kafka.stream import Stream
from fleet.log.protocol import CorruptLog, LogError
from fleet.manifest import FORMAT, Form, Manifest

STAMP_MS: Final = 0  # of these records: they have no time of their own
Kept = TypeVar("Kept")


class Runs:
    """Reads and writes that topic."""

    def __init__(self, stream: Stream, reader: Callable[[int], Reader]) -> None:
        self._stream = stream
        self._reader = reader

    async def all(self) -> dict[str, bytes]:
        """The last value of every key."""
        reader = self._reader(0)
        try:
            entries = await reader.all_to(await reader.end())
        finally:
            await reader.close()
        return {entry.key.decode(errors=ANY_BYTES): entry.value for entry in entries}

    async def get(self, key: str, kind: type[Kept]) -> Kept | None:
        """The value of a key; None where there is none. Raises CorruptLog."""
        stored = (await self.all()).get(key)
        return decoded(key, stored, kind) if stored else None

    async def put(self, key: str, value: object) -> None:
        """Give a key a value; None takes it away."""
        stored = b"" if value is None else msgspec.json.encode(value)
        await self._stream.append([(STAMP_MS, key.encode(errors=ANY_BYTES), stored)])

    async def check_new(self, run: str) -> None:
        """Raises LogError where there is such a run."""
        if (await self.all()).get(run):
            raise LogError(
                f"run {run}: there is one already; go on with it (rasfleet resume {run}), choose another name, or "
                f"remove it (rasfleet topics {run} --delete)"
            )

    async def manifest(self, run: str) -> Manifest:
        """What a run is. Raises LogError."""
        stored = (await self.all()).get(run)
        if not stored:
            raise LogError(f"run {run}: there is none of this name")
        return manifest_in(run, stored)


def manifest_in(run: str, stored: bytes) -> Manifest:
    """The manifest that some bytes are. Raises CorruptLog."""
    form = decoded(run, stored, Form)  # another format may have other fields
    if form.format != FORMAT:
        raise CorruptLog(f"{RUNS}, run {run}", 0, f"format {form.format}, this program reads {FORMAT}")
    return decoded(run, stored, Manifest)


def decoded(key: str, stored: bytes, kind: type[Kept]) -> Kept:
    """A value of that topic. Raises CorruptLog."""
    try:
        return msgspec.json.decode(stored, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise CorruptLog(f"{RUNS}, key {key}", 0, str(fault)) from None

"""What makes two runs the same: SHA-256 over the values of every partition of every topic.

Events are hashed in segments of 4,096, and the digest of a partition is that of its segments' digests, so that it
can be carried on from a checkpoint. Values are MessagePack, which ends by itself, so they are hashed back to back;
a value's key and timestamp follow from it (its host, its time), which the integrity check verifies.

Source: the design's section 4, "Determinism".
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from msgspec import Struct

from nodes.events import DEAD_LETTER

SEGMENT_EVENTS: Final = 4096
SIZE: Final = 32  # bytes of a digest


class Digested(Struct, frozen=True, array_like=True):
    """What a partition's digest comes to."""

    count: int  # events
    digest: bytes


class PartitionDigest:
    """The digest of one partition of one topic, as it grows. ``segments`` are the digests of whole segments."""

    __slots__ = ("_segment", "count", "segments")

    def __init__(self, segments: bytes = b"") -> None:
        self.segments = bytearray(segments)
        self.count = len(segments) // SIZE * SEGMENT_EVENTS  # events
        self._segment = sha256()

    def add(self, values: Sequence[bytes]) -> None:
        """Further values, in order."""
        at = 0
        while at < len(values):
            room = SEGMENT_EVENTS - self.count % SEGMENT_EVENTS
            part = values[at : at + room]
            self._segment.update(b"".join(part))
            self.count += len(part)
            at += len(part)
            if self.count % SEGMENT_EVENTS == 0:
                self.segments += self._segment.digest()
                self._segment = sha256()

    def whole(self, count: int) -> bytes:
        """The digests of the segments that are whole when so many events have come: what a checkpoint keeps."""
        return bytes(self.segments[: count // SEGMENT_EVENTS * SIZE])

    def done(self) -> Digested:
        """The digest over everything so far."""
        whole = sha256(self.segments)
        if self.count % SEGMENT_EVENTS:
            whole.update(self._segment.digest())
        return Digested(self.count, whole.digest())


def run_digest(partitions: Mapping[tuple[str, int], Digested]) -> str:
    """The digest of a run, hex: over topics by name and partitions by number, each with its count.

    Dead letters are part of it where there are some.
    """
    whole = sha256()
    for (topic, partition), part in sorted(partitions.items()):
        if topic == DEAD_LETTER and not part.count:
            continue
        whole.update(f"{topic} {partition} {part.count}\n".encode())
        whole.update(part.digest)
    return whole.hexdigest()


def digest_of(values: Iterable[bytes]) -> Digested:
    """The digest of a whole partition."""
    part = PartitionDigest()
    part.add(list(values))
    return part.done()

"""What makes two runs the same: SHA-256 over the values of every partition of every topic.

Events are hashed in segments of 4,096, and the digest of a partition is that of its segments' digests, so that it
can be carried on from a checkpoint. Values are MessagePack, which ends by itself, so they are hashed back to back;
a value's key and timestamp follow from it (its host, its time), which the integrity check verifies.

Source: the design's section 4, "Determinism".
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

SEGMENT_EVENTS: Final = 4096


class PartitionDigest:
    """The digest of one partition of one topic, as it grows."""

    __slots__ = ("_segment", "_segments", "count")

    def __init__(self) -> None:
        self.count = 0  # events
        self._segment = sha256()
        self._segments = sha256()

    def add(self, values: list[bytes]) -> None:
        """Further values, in order."""
        at = 0
        while at < len(values):
            room = SEGMENT_EVENTS - self.count % SEGMENT_EVENTS
            part = values[at : at + room]
            self._segment.update(b"".join(part))
            self.count += len(part)
            at += len(part)
            if self.count % SEGMENT_EVENTS == 0:
                self._segments.update(self._segment.digest())
                self._segment = sha256()

    def digest(self) -> bytes:
        """32 bytes over everything so far."""
        whole = self._segments.copy()
        if self.count % SEGMENT_EVENTS:
            whole.update(self._segment.digest())
        return whole.digest()


def run_digest(partitions: Mapping[tuple[str, int], PartitionDigest]) -> str:
    """The digest of a run, hex: over topics by name and partitions by number, each with its count."""
    whole = sha256()
    for (topic, partition), part in sorted(partitions.items()):
        whole.update(f"{topic} {partition} {part.count}\n".encode())
        whole.update(part.digest())
    return whole.hexdigest()


def digest_of(values: Iterable[bytes]) -> PartitionDigest:
    """The digest of a whole partition."""
    part = PartitionDigest()
    part.add(list(values))
    return part

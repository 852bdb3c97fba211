"""Sets of places as spans: a whole fleet is one span, whatever its size.

Spans are half open, sorted, and do not touch. Nothing here is done once for each place, unless spans are as many.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.int64]
_NONE: Final = np.empty(0, dtype=np.int64)
_NONE.flags.writeable = False


class Spans:
    """A set of whole numbers from 0 on, in order."""

    __slots__ = ("_before", "ends", "size", "starts")

    def __init__(self, starts: Column, ends: Column) -> None:
        assert starts.size == ends.size, "a span has two ends"
        assert (starts < ends).all(), "an empty span"
        assert (starts[1:] > ends[:-1]).all(), "spans that touch or are out of order"
        self.starts = starts
        self.ends = ends
        self._before: Column = np.cumsum(ends - starts)  # members up to each span's end
        self.size = int(self._before[-1]) if starts.size else 0

    @classmethod
    def of_range(cls, first: int, end: int) -> "Spans":
        """``first`` to ``end`` - 1."""
        if first >= end:
            return NOBODY
        return cls(np.asarray([first], dtype=np.int64), np.asarray([end], dtype=np.int64))

    @classmethod
    def of_pieces(cls, starts: Column, ends: Column) -> "Spans":
        """Pieces in order that may touch, or be empty."""
        there = starts < ends
        starts, ends = starts[there], ends[there]
        apart = starts[1:] > ends[:-1]
        return cls(np.concatenate([starts[:1], starts[1:][apart]]), np.concatenate([ends[:-1][apart], ends[-1:]]))

    @classmethod
    def of_numbers(cls, numbers: "Column | Sequence[int]") -> "Spans":
        """Single numbers in order."""
        column = np.asarray(numbers, dtype=np.int64)
        return cls.of_pieces(column, column + 1)

    def at(self, index: Column) -> Column:
        """The members at these positions of the order."""
        if self.starts.size == 1:
            return index + int(self.starts[0])
        span = np.searchsorted(self._before, index, side="right")
        found: Column = self.ends[span] - self._before[span] + index
        return found

    def __len__(self) -> int:
        return self.size

    def __contains__(self, number: int) -> bool:
        span = int(np.searchsorted(self.ends, number, side="right"))
        return span < self.ends.size and bool(self.starts[span] <= number)

    def __iter__(self) -> Iterator[int]:
        for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True):
            yield from range(start, end)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Spans)
            and np.array_equal(self.starts, other.starts)
            and np.array_equal(self.ends, other.ends)
        )

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: "Spans") -> "Spans":
        """What is in both."""
        first = np.searchsorted(other.ends, self.starts, side="right")
        count = np.maximum(np.searchsorted(other.starts, self.ends, side="left") - first, 0)
        mine = np.repeat(np.arange(self.starts.size), count)
        others = np.arange(mine.size) - np.repeat(np.cumsum(count) - count, count) + first[mine]
        return Spans.of_pieces(
            np.maximum(self.starts[mine], other.starts[others]), np.minimum(self.ends[mine], other.ends[others])
        )

    def __or__(self, other: "Spans") -> "Spans":
        """What is in either; they share nothing."""
        order = np.argsort(np.concatenate([self.starts, other.starts]), kind="stable")
        return Spans.of_pieces(
            np.concatenate([self.starts, other.starts])[order], np.concatenate([self.ends, other.ends])[order]
        )

    def without(self, other: "Spans") -> "Spans":
        """What is not in the other."""
        if not (self.size and other.size):
            return self
        end = max(int(self.ends[-1]), int(other.ends[-1]))
        gaps = Spans.of_pieces(np.append(0, other.ends), np.append(other.starts, end))
        return self & gaps

    def scaled(self, each: int) -> "Spans":
        """``each`` members in the place of every one: of hosts, their DIMMs."""
        return Spans(self.starts * each, self.ends * each)

    def moved(self, by: int) -> "Spans":
        """Every member ``by`` higher."""
        return Spans(self.starts + by, self.ends + by)

    def chunks(self, size: int) -> Iterator[Column]:
        """All members in order, ``size`` at a time."""
        for first in range(0, self.size, size):
            yield self.at(np.arange(first, min(self.size, first + size), dtype=np.int64))


NOBODY: Final = Spans(_NONE, _NONE)


def joined(parts: Sequence[Spans]) -> Spans:
    """One set of several that follow one another."""
    return Spans.of_pieces(
        np.concatenate([_NONE, *(part.starts for part in parts)]),
        np.concatenate([_NONE, *(part.ends for part in parts)]),
    )

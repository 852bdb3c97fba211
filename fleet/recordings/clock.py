"""The virtual time of a recorded host: what its lines say has passed since the first of them.

The kernel's own time counts where two lines have it; else the time of day. A step back is a reboot or a clock that
was set: it counts as nothing, and so much of a gap as is longer than a month.
"""

from typing import Final

from fleet.recordings.lines import Line

_NS_PER_S: Final = 1_000_000_000
GAP_MAX_NS: Final = 31 * 86_400 * _NS_PER_S  # a longer gap between two lines is taken as this one
SPAN_MAX_NS: Final = 5 * 366 * 86_400 * _NS_PER_S  # of one host; later lines stand at its end
_YEAR_NS: Final = 366 * 86_400 * _NS_PER_S
_NEW_YEAR_NS: Final = 300 * 86_400 * _NS_PER_S  # a step back by more, without a year, is New Year's Eve


class Clock:
    """The clock of one host."""

    __slots__ = ("_kernel_ns", "_now_ns", "_wall_ns", "shortened")

    def __init__(self) -> None:
        self._now_ns: int | None = None
        self._kernel_ns: int | None = None
        self._wall_ns: int | None = None
        self.shortened = 0  # gaps that were

    def at(self, line: Line) -> int | None:
        """Virtual time of a line, ns; None while no line has said any time."""
        if line.kernel_ns is None and line.wall_ns is None:
            return self._now_ns
        passed = self._passed(self._kernel_ns, line.kernel_ns)
        if passed is None:
            passed = self._passed(self._wall_ns, self._wall(line))
        if passed is not None and passed > GAP_MAX_NS:
            passed = GAP_MAX_NS
            self.shortened += 1
        self._now_ns = min((self._now_ns or 0) + (passed or 0), SPAN_MAX_NS)
        self._kernel_ns = line.kernel_ns if line.kernel_ns is not None else self._kernel_ns
        self._wall_ns = line.wall_ns if line.wall_ns is not None else self._wall_ns
        return self._now_ns

    def _wall(self, line: Line) -> int | None:
        """The time of day; without a year, after New Year's Eve, it is the next one's."""
        if line.wall_ns is None or self._wall_ns is None or self._wall_ns - line.wall_ns < _NEW_YEAR_NS:
            return line.wall_ns
        return line.wall_ns + _YEAR_NS

    @staticmethod
    def _passed(before: int | None, now: int | None) -> int | None:
        return None if before is None or now is None or now < before else now - before

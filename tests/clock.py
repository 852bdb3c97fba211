"""An event loop whose time is made up: where nothing else is to be done, it leaps to what waits next."""

import asyncio
import selectors


class _Leaping(selectors.DefaultSelector):
    def __init__(self):
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout=None):
        if timeout is None:
            return super().select(None)  # only another thread can go on
        found = super().select(0)
        if not found:
            self.now_s += timeout
        return found


class LeapingLoop(asyncio.SelectorEventLoop):
    """Sleeps take no time."""

    def __init__(self):
        self._clock = _Leaping()
        super().__init__(self._clock)

    def time(self):
        return self._clock.now_s

    def spend(self, seconds):
        """Something takes so long."""
        self._clock.now_s += seconds


def leaping(work):
    """Run something to its end in such a loop; it gets the loop."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(work(runner.get_loop()))

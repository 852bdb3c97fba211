"""An event loop in a thread of its own: where everything lives that talks to Kafka.

Heartbeats and fetches go on while a shard computes, and what the protocol of a log has as plain calls (reading,
taking over) can be waited for from anywhere: within another loop, and without one.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

PARTING_S: Final = 10.0  # that work may still take once nobody wants it
Done = TypeVar("Done")


class Loop:
    """Begins with the first work, ends with ``stop``, and begins again when there is more."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may post while the lock is held
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._at_work: set[asyncio.Task[Any]] = set()

    def call(self, work: Coroutine[Any, Any, Done]) -> Done:
        """Do something there; blocks until it is done."""
        assert threading.current_thread() is not self._thread, "it would wait for itself"
        return self._submit(work).result()

    async def wait(self, work: Coroutine[Any, Any, Done]) -> Done:
        """Do something there. One who is cancelled waits for a while all the same: it may be being written."""
        working = asyncio.wrap_future(self._submit(work))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait({working}, timeout=PARTING_S)
            working.cancel()
            if not working.cancelled():
                working.exception()  # nobody is left to be told
            raise

    def post(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something there some time; nothing when the loop is over. Never blocks, whoever calls."""
        if self._loop is None:
            work.close()
        else:
            self._submit(work)

    def _submit(self, work: Coroutine[Any, Any, Done]) -> "Future[Done]":
        with self._lock:
            if self._loop is None:
                self._begin()
            assert self._loop is not None, "it has begun"
            return asyncio.run_coroutine_threadsafe(self._noted(work), self._loop)

    async def _noted(self, work: Coroutine[Any, Any, Done]) -> Done:
        task = asyncio.current_task()
        assert task is not None, "the loop runs it"
        self._at_work.add(task)
        try:
            return await work
        finally:
            self._at_work.discard(task)

    def _begin(self) -> None:
        ready = threading.Event()

        def live() -> None:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                ready.set()
                self._loop.run_forever()
                _hang_up(runner.get_loop())

        self._thread = threading.Thread(target=live, name="rasfleet-kafka", daemon=True)
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Wait for what is at work, and end the thread."""
        if self._loop is None:
            return
        self.call(self._drained())
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        assert loop is not None, "nobody else stops it"
        assert thread is not None, "it has its thread"
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    async def _drained(self) -> None:
        others = self._at_work - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=PARTING_S)


def _hang_up(loop: Any) -> None:
    """Close connections that nobody waits for: one over TLS that was refused would outlive the loop."""
    for transport in list(loop._transports.values()):  # noqa: SLF001 (there is no other way)
        transport.abort()

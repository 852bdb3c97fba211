"""Who writes a run's plan: the one who said so last, in the topic of all runs.

    <run>/writer  a word of its own, JSON

Two who write the same plan would write commands twice. That changes no event, since a host passes over what its
origin sent before, but the topic of commands would not be the one of the run. So whoever was overtaken finds out
before it writes on, and ends. What it was writing at that moment may stand there twice.
"""

import asyncio
import secrets
from typing import Final

from fleet.log.kafka.board import Board
from fleet.log.kafka.connection import Outage
from fleet.log.kafka.producer import QUIET_S
from fleet.log.protocol import LogError

WRITER: Final = "writer"


class Turn:
    """One program's turn to write a run's plan. Lives in one loop."""

    def __init__(self, run: str, board: Board, outage: Outage) -> None:
        self._run = run
        self._outage = outage
        self._board = board
        self._looking: asyncio.Task[None] | None = None
        self.word = secrets.token_hex(8)

    async def check(self) -> None:
        """Look whether it lasts; those who ask at once share the look. Raises LogError when it does not."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._board.catch_up())
        answered, _ = await asyncio.wait({self._looking}, timeout=QUIET_S)
        if not answered:
            self._outage.lasts("nobody says whose turn it is")
        await asyncio.shield(self._looking)
        self._outage.is_over()
        if self._board.told(WRITER, str) != self.word:
            raise LogError(f"run {self._run}: another program carries it out by now, so this one ends")

    async def close(self) -> None:
        """Be done with it."""
        if self._looking is not None and not self._looking.done():
            self._looking.cancel()
            await asyncio.wait({self._looking})
        await self._board.close()

"""The program as its users meet it: its arguments, what it prints, how it ends."""

import contextlib
import io
import json
import sys
from typing import Any, NamedTuple
from unittest.mock import patch

from fleet.__main__ import main


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as NDJSON."""
        return [json.loads(line) for line in self.out.splitlines()]


class _Stream(io.TextIOWrapper):
    """A text stream over bytes in memory, as a pipe is one."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8")

    def text(self) -> str:
        """All that was written."""
        self.flush()
        stored = self.buffer
        assert isinstance(stored, io.BytesIO)
        return stored.getvalue().decode()


def rasfleet(*words: object, given: bytes = b"") -> Ended:
    """Run a command in this process; ``given`` is its standard input."""
    out, err = _Stream(), _Stream()
    code: object = None
    with (
        patch.object(sys, "argv", ["rasfleet", *map(str, words)]),
        patch.object(sys, "stdin", _Stream(given)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    assert code is None or isinstance(code, int), code
    return Ended(code or 0, out.text(), err.text())

"""Java processes: started to outlive who starts them, known by pid and by what they were started with.

A pid counts as ours only while its command line names the node's settings, so that a number which Linux has given
to someone else is never signalled. Needs Linux's ``/proc``.
"""

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

POLL_S: Final = 0.05


def spawn(command: list[str], log: Path) -> int:
    """Start a program in a session of its own; its output is appended to a log. The pid is the program's."""
    output = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), output, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    while not _words(pid) and os.waitpid(pid, os.WNOHANG) == (0, 0):
        pass  # Linux shows the words a moment after the program was started
    return pid


def runs(pid: int, word: str) -> bool:
    """Whether a process is there and was started with this word."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a dead child is there until someone asks
    return word in _words(pid)


def _words(pid: int) -> list[str]:
    """What a process was started with; nothing if it is gone or dead."""
    try:
        said = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return said.decode(errors="replace").split("\0")[:-1]


def signalled(pid: int, word: str, number: signal.Signals) -> None:
    """Send a signal, unless the process is gone."""
    if runs(pid, word):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def gone(pid: int, word: str, within_s: float) -> bool:
    """Wait for the end of a process; false if it lives on."""
    end = time.monotonic() + within_s
    while runs(pid, word):
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True


def resident_mib(pid: int) -> float:
    """Resident memory; 0 if the process is gone. Source: proc_pid_statm(5)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def wait_for_end_of(pid: int) -> None:
    """Return once a process that need not be our child has ended."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([watched], [], [])
    finally:
        os.close(watched)

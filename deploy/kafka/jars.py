"""The jars of Apache Kafka: fetched once by Maven, as ``pom.xml`` pins them, into ``.kafka/`` of the checkout.

A folder of jars appears whole or not at all, under a name that says what ``pom.xml`` held.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
CACHE: Final = HERE.parent.parent / ".kafka"
FETCH_S_MAX: Final = 600  # after that Maven is stopped


class NoKafka(Exception):
    """What a broker needs is not on this machine; the message is one line and says what."""


def java(program: str = "java") -> str:
    """Where a program of the JDK is: in ``JAVA_HOME``, else on the path."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(program, path=f"{home}/bin" if home else None)
    if found is None:
        raise NoKafka(f"a Kafka broker needs Java 17: no {program} {f'in {home}/bin' if home else 'on the path'}")
    return found


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes respect; it ends with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def jars() -> Path:
    """The folder of jars, fetched if it is not there. Raises ``NoKafka``."""
    java()
    pinned = hashlib.sha256((HERE / "pom.xml").read_bytes()).hexdigest()[:12]
    folder = CACHE / f"jars-{pinned}"
    with locked(CACHE / "jars.lock"):
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise NoKafka("the jars of Kafka are fetched with Maven: no mvn on the path")
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    command = [
        maven, "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies",
        "-DincludeScope=runtime", f"-DoutputDirectory={part}",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FETCH_S_MAX)  # noqa: S603 (our own words)
    except subprocess.TimeoutExpired as late:
        raise NoKafka(f"Maven did not fetch the jars of Kafka within {FETCH_S_MAX} s") from late
    if done.returncode or not list(part.glob("kafka_*.jar")):
        said = (done.stdout + done.stderr).strip() or "it fetched nothing"
        raise NoKafka(f"Maven could not fetch the jars of Kafka: {said.splitlines()[0]}")
    part.rename(folder)

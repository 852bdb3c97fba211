"""kcat, a program of others on librdkafka: what it reads from a topic, and what it sends to one.

Where it is missing a test skips; ``RASFLEET_REQUIRE_KAFKA=1`` makes that a failure.
"""

import os
import shutil
import subprocess
from typing import NamedTuple

import pytest

MISSING = "kcat is not installed: apt-get install kcat"
PARTITIONER = "topic.partitioner=murmur2_random"  # as Java's clients and ours; its own differs


class Message(NamedTuple):
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    headers: dict[str, str]
    value: bytes


def _run(*words, given=None):
    kcat = shutil.which("kcat")
    if kcat is None:
        (pytest.fail if os.environ.get("RASFLEET_REQUIRE_KAFKA") == "1" else pytest.skip)(MISSING)
    return subprocess.run([kcat, *words], input=given, capture_output=True, check=True).stdout


def consumed(servers, topic):
    """Everything that a topic holds now."""
    rest = _run("-C", "-b", servers, "-t", topic, "-e", "-q", "-o", "beginning", "-f", "%p|%o|%T|%k|%h|%R%s")
    found = []
    while rest:
        partition, offset, timestamp, key, headers, rest = rest.split(b"|", 5)
        size = int.from_bytes(rest[:4], "big")
        pairs = [pair.split("=", 1) for pair in headers.decode().split(",") if pair]
        found.append(Message(int(partition), int(offset), int(timestamp), key, dict(pairs), rest[4 : 4 + size]))
        rest = rest[4 + size :]
    return found


def produced(servers, topic, key, value, tmp_path):
    """Send one message, as the documentation has it."""
    path = tmp_path / "value"
    path.write_bytes(value)
    _run("-P", "-b", servers, "-t", topic, "-X", PARTITIONER, "-k", key, str(path))

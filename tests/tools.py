"""Programs that tests look through other eyes with: what ``make tools`` fetched, or what the machine has."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLACES = os.pathsep.join([str(ROOT / ".tools/bin"), str(ROOT / ".tools/usr/bin"), os.environ.get("PATH", "")])


def tool(name):
    """Its path. Skips where it is missing, or fails where all are required."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        said = f"{name} is missing: make tools fetches it (systemd-analyze: Debian's systemd)"
        if os.environ.get("RASFLEET_REQUIRE_KAFKA") == "1":
            pytest.fail(said, pytrace=False)
        pytest.skip(said)
    return found

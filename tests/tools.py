"""What tests look through other eyes with: what ``make tools`` fetched, the machine has, or npm installs."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLACES = os.pathsep.join([str(ROOT / ".tools/bin"), str(ROOT / ".tools/usr/bin"), os.environ.get("PATH", "")])

NPM = shutil.which("npm") if shutil.which("node") else None
needs_node = pytest.mark.skipif(NPM is None, reason="what comes from npm needs node and npm, and there are none")


def from_npm(package, version):
    """A folder with a package, installed once beside the virtual environment; whoever comes second finds it."""
    folder = ROOT / ".venv" / f"{package.strip('@').replace('/', '-')}-{version}"
    if not folder.exists():
        fresh = tempfile.mkdtemp(dir=folder.parent)
        words = ["--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts", f"{package}@{version}"]
        subprocess.run([NPM, "install", "--prefix", fresh, *words], check=True, capture_output=True)
        try:
            Path(fresh).rename(folder)
        except OSError:  # another worker was first
            shutil.rmtree(fresh)
    return folder


def tool(name):
    """Its path. Skips where it is missing, or fails where all are required."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        said = f"{name} is missing: make tools fetches it (systemd-analyze: Debian's systemd)"
        if os.environ.get("RASFLEET_REQUIRE_KAFKA") == "1":
            pytest.fail(said, pytrace=False)
        pytest.skip(said)
    return found

"""The wheel: built, unpacked elsewhere, run there, scenarios included."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fleet import __version__
from fleet.manifest import BEHAVIOUR
from fleet.scenario.scenario import bundled

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """Where the wheel's content lies."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.startswith(f"rasfleet-{__version__}-py3-none-any")
    with zipfile.ZipFile(wheel) as stored:
        stored.extractall(folder / "site")
    return folder / "site"


def elsewhere(site, *words):
    """Run the unpacked program in a folder that is not the checkout."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "fleet", *words],
        cwd=site.parent,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_holds_the_packages_and_nothing_else(unpacked):
    assert {path.name for path in unpacked.iterdir()} == {
        "nodes", "fleet", "consumers", f"rasfleet-{__version__}.dist-info",
    }  # fmt: skip
    assert (unpacked / f"rasfleet-{__version__}.dist-info" / "licenses" / "LICENSE").is_file()
    assert (
        "rasfleet = fleet.__main__:main"
        in (unpacked / f"rasfleet-{__version__}.dist-info" / "entry_points.txt").read_text()
    )


def test_it_runs_elsewhere_with_its_scenarios(unpacked):
    assert elsewhere(unpacked, "--version").stdout == f"rasfleet, version {__version__}, behaviour {BEHAVIOUR}\n"
    done = elsewhere(unpacked, "run", "storm", "--hosts", "3", "--faults", "50", "--json")
    assert done.returncode == 0, done.stderr
    assert (unpacked.parent / "runs" / "storm" / "summary.json").is_file()
    where = "import fleet; print(fleet.__file__)"
    found = subprocess.run(
        [sys.executable, "-P", "-c", where],
        cwd=unpacked.parent,
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.startswith(str(unpacked)), "the checkout's own packages were run"


def test_an_environment_without_pip_is_made_whole():
    """Another tool may have made .venv; then what is missing is the pip that the next step runs."""
    makefile = (ROOT / "Makefile").read_text()
    assert "| $(BIN)/pip\n" in makefile
    assert "| $(BIN)/python\n" not in makefile


@pytest.mark.parametrize("target", ["run", "clean"])
def test_make_removes_no_run_that_a_command_wrote_by_default(target):
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
    (removal,) = [line for line in done.stdout.splitlines() if line.startswith("rm -rf")]

    assert "runs/make-run/storm" in removal
    assert not {"runs", "runs/import", *(f"runs/{name}" for name in bundled())} & set(removal.split())


def test_what_is_compiled_does_not_stay_beside_the_sources():
    """It would be loaded in their place, in every later command: a wheel is made of what is unpacked elsewhere."""
    done = subprocess.run(["make", "-n", "compiled"], cwd=ROOT, capture_output=True, text=True, check=True)
    (built,) = (line for line in done.stdout.replace("\\\n", "").splitlines() if "pip-version-check wheel" in line)

    assert built.endswith("rasfleet-*.tar.gz")

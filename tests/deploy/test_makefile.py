"""Every target sets itself up on a machine where nothing was made before."""

import re
import subprocess

import pytest

from tests.runs import ROOT

TARGETS = re.findall(r"^([\w-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_has_all_that_it_needs(target, tmp_path):
    words = ["make", "--dry-run", f"VENV={tmp_path}/venv", f"TOOLS={tmp_path}/tools", target]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_there_are_targets_for_brokers_too():
    assert {"run", "test", "check", "bench", "kafka", "kafka-stop", "tools"} <= set(TARGETS)

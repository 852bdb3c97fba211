"""ARCHITECTURE.md names files and tests that are there."""

import re

import pytest

from tests.runs import ROOT

TEXT = (ROOT / "ARCHITECTURE.md").read_text()
TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", TEXT))))
def test_a_test_that_is_named_is_there(name):
    assert f"def {name}(" in TESTS


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:nodes|fleet|consumers|deploy|tests)/[\w./-]+?\.\w+)`", TEXT)))
)
def test_a_file_that_is_named_is_there(path):
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ((?:tests|fleet)[\w.]*)", TEXT))))
def test_a_module_that_is_to_be_run_is_there(module):
    at = ROOT / module.replace(".", "/")
    assert at.with_suffix(".py").is_file() or (at / "__main__.py").is_file()

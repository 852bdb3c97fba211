"""The README says what the program does: its commands are run, its example is executed."""

import doctest

import pytest

from tests.readme import README, blocks, differs, place, printed, steps_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the commands run, one block after the other."""
    return place(tmp_path_factory.mktemp("readme"))


def test_every_command_prints_what_the_readme_shows(folder):
    steps = [step for block in blocks() for step in steps_of(block)]
    assert len(steps) > 5
    for command, output in steps:
        if command != "make test":  # it is what runs here
            wrong = differs(output, printed(command, folder))
            assert not wrong, f"`{command}` does not print: {wrong}\nrenew the README: python -m tests.readme"


def test_the_example_runs():
    parser = doctest.DocTestParser()
    example = parser.get_doctest(README.read_text(), {}, "README.md", str(README), 0)
    assert len(example.examples) > 5
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example)
    assert results.failed == 0


@pytest.mark.parametrize(
    ("expected", "found", "wrong"),
    [
        (["a", "b"], ["a", "b"], ""),
        (["a", "…"], ["a", "b", "c"], ""),
        (["a", "…", "c"], ["a", "b", "c"], ""),
        (["a", "c"], ["a", "b", "c"], "a"),
        (["a"], ["a", "b"], "a"),
        (["…", "b", "…", "b"], ["a", "b"], "b"),
        ([], ["a"], "(nothing)"),
        (["…", "d"], ["a", "b"], "d"),
        ([], [], ""),
    ],
)
def test_a_difference_is_found(expected, found, wrong):
    assert differs(expected, found) == wrong

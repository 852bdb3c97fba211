"""Names of runs: what one may be, and how one that anybody wrote is said."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.log.kafka.names import ANY_BYTES, is_name, text_of, word_of

octets = st.binary(max_size=12).map(
    lambda value: value.replace(b"\0", b"'")
)  # no word of a command line has a zero


@pytest.mark.parametrize(
    ("name", "fits"), [("storm-1", True), ("", False), ("A", False), ("a/b", False), ("ras", False)]
)
def test_a_name_is_of_small_letters_digits_and_lines(name, fits):
    assert is_name(name) == fits


@settings(max_examples=30)
@given(octets)
def test_a_shell_takes_the_word_of_any_name_for_that_name(name):
    word = word_of(name.decode(errors=ANY_BYTES))
    said = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)

    assert word.isprintable()
    assert said.stdout == name


@given(octets)
def test_the_text_of_any_name_is_text(name):
    assert len(text_of(name.decode(errors=ANY_BYTES)).encode()) >= len(name)

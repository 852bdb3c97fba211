"""BCD timestamps."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.spec.layout import Malformed
from nodes.spec.timestamp import Timestamp, at_epoch_ns, bcd, from_bcd, timestamp_bytes, timestamp_of

moments = st.builds(
    Timestamp,
    year=st.integers(0, 9999),
    month=st.integers(1, 12),
    day=st.integers(1, 31),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    second=st.integers(0, 59),
    precise=st.booleans(),
)


@given(moments)
def test_a_moment_is_read_back(moment):
    assert timestamp_of(timestamp_bytes(moment)) == moment


@given(st.integers(0, 99))
def test_a_bcd_byte_shows_its_decimal_digits(value):
    assert f"{bcd(value):02x}" == f"{value:02d}"
    assert from_bcd(bcd(value)) == value


@given(st.binary(min_size=8, max_size=8))
def test_any_eight_bytes_are_a_moment_or_refused(stored):
    decimal = all(f"{byte:02x}".isdecimal() for place, byte in enumerate(stored) if place != 3)

    if decimal:
        assert timestamp_of(stored).precise == stored[3] & 1
    else:
        with pytest.raises(Malformed, match="BCD"):
            timestamp_of(stored)


def test_the_flags_byte_is_no_digit():
    assert timestamp_of(bytes.fromhex("320410ff22112620")).iso() == "2026-11-22T10:04:32+00:00"


@given(st.integers(0, 4_000_000_000), st.integers(0, 999_999_999))
def test_time_in_ns_is_the_second_it_lies_in(seconds, ns):
    moment = at_epoch_ns(seconds * 1_000_000_000 + ns)

    assert datetime.fromisoformat(moment.iso()) == datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize("place", [0, 1, 2, 4, 5, 6, 7])
@pytest.mark.parametrize("byte", [0x0A, 0xA0, 0xFF])
def test_a_digit_above_9_is_refused_at_its_place(place, byte):
    stored = bytes(place) + bytes([byte]) + bytes(7 - place)

    with pytest.raises(Malformed) as refused:
        timestamp_of(stored, 100)

    assert refused.value.offset == 100 + place

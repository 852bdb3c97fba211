"""Frames: any bytes are frames and stretches that are none, side by side from the head to the end."""

import io
import struct

import pytest
from aiokafka.record.util import calc_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.codec import TOPICS
from fleet.log.batches import batch_of
from fleet.log.frames import (
    FILE_HEAD_SIZE,
    FORMAT,
    FRAME_SIZE_MAX,
    Damage,
    FileHead,
    Frame,
    Part,
    entries,
    file_head,
    frame_of,
    frames,
    read_file_head,
)
from fleet.log.protocol import CorruptLog, Written
from nodes.events import COMMAND, CPER, SYNDROME
from tests.declared import mutated

BATCH = batch_of(0, [Written(0, b"k", b"value")])
FRAME = frame_of({SYNDROME: BATCH, CPER: BATCH})
HEAD = FileHead(1, 11, 3, bytes(range(16)))


def found_in(stored):
    return list(frames(io.BytesIO(bytes(FILE_HEAD_SIZE) + stored)))


def frame_with(parts):
    """A frame with a right checksum over any bytes."""
    return struct.pack("<4sII", b"FRM1", len(parts), calc_crc32c(parts)) + parts


def test_the_head_of_a_file_says_whose_it_is():
    assert read_file_head(file_head(HEAD), "place") == HEAD
    assert len(file_head(HEAD)) == FILE_HEAD_SIZE


def test_another_format_is_refused_by_its_number():
    packed = struct.pack("<8sHHHI16s", b"rasfleet", FORMAT + 1, 0, 0, 0, bytes(16))

    with pytest.raises(CorruptLog, match="format 2, this program reads 1"):
        read_file_head(packed + struct.pack("<I", calc_crc32c(packed)), "place")


@given(st.binary(max_size=60) | mutated([file_head(HEAD)]))
def test_any_bytes_are_a_head_or_corrupt(stored):
    try:
        head = read_file_head(stored, "place")
    except CorruptLog as fault:
        assert fault.place == "place"  # noqa: PT017 (both ways out are checked)
    else:
        assert file_head(head) == stored[:FILE_HEAD_SIZE]


def test_a_frame_holds_the_batches_of_its_topics():
    (found,) = found_in(FRAME)

    assert found == Frame(FILE_HEAD_SIZE, (Part(SYNDROME, BATCH), Part(CPER, BATCH)))


@settings(max_examples=300)
@given(st.lists(st.just(FRAME) | st.binary(max_size=30) | mutated([FRAME]) | st.just(b"FRM1"), max_size=6))
def test_any_bytes_are_frames_and_what_is_none_without_a_gap(parts):
    stored = b"".join(parts)
    found = found_in(stored)

    at = FILE_HEAD_SIZE
    for one in found:
        assert one.start == at
        at = one.end if isinstance(one, Damage) else at + 12 + sum(5 + len(part.batch) for part in one.parts)
    assert at == FILE_HEAD_SIZE + len(stored)
    assert sum(isinstance(one, Frame) for one in found) >= sum(part == FRAME for part in parts) - stored.count(
        b"FRM1"
    )
    assert [one.torn for one in found if isinstance(one, Damage)].count(True) <= 1


@pytest.mark.parametrize(
    "parts",
    [
        b"\x01",
        b"\x01\x00\x00\x00",
        bytes((len(TOPICS),)) + struct.pack("<I", len(BATCH)) + BATCH,
        b"\x01" + struct.pack("<I", len(BATCH) + 1) + BATCH,
        b"\x01" + struct.pack("<I", 60) + BATCH[:60],
    ],
    ids=[
        "no part",
        "half a part's head",
        "an unknown topic",
        "a part that is too long",
        "a part that is too short",
    ],
)
def test_parts_that_do_not_add_up_are_no_frame(parts):
    (found,) = found_in(frame_with(parts))

    assert "do not add up" in found.reason


def test_a_frame_beyond_the_limit_is_not_read():
    (found,) = found_in(struct.pack("<4sII", b"FRM1", FRAME_SIZE_MAX + 1, 0) + bytes(100))

    assert "at most" in found.reason


@given(st.binary(min_size=61, max_size=120) | mutated([BATCH]))
def test_a_batch_that_is_none_is_corrupt_and_nothing_else(batch):
    try:
        found = list(entries(Part(COMMAND, batch), 0, "place", 50))
    except CorruptLog as fault:
        assert (fault.place, fault.offset) == ("place", 50)  # noqa: PT017 (both ways out are checked)
    else:
        assert [entry[4:] for entry in found] == [(b"k", b"value")]

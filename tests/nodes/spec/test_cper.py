"""CPER records: read back as they were written, refused where they contradict themselves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.sample import RECORD, make
from fleet.sample.broken import RECORD_BREAKS, SECTION_BREAKS
from fleet.scenario.draws import Stream
from nodes.spec.cper import RECORD_SIZE_MAX, Record, RecordHeader, SectionOf, record_of
from nodes.spec.layout import Malformed
from tests.declared import mutated, structures

RECORDS = [make(RECORD, 1, index).octets for index in range(40)]
CONTAINER_BREAKS = RECORD_BREAKS[: len(RECORD_BREAKS) - len(SECTION_BREAKS)]

sections = st.builds(
    SectionOf,
    section_type=st.binary(min_size=16, max_size=16),
    severity=st.integers(0, 0xFFFF_FFFF),
    body=st.binary(min_size=1, max_size=60),
    flags=st.integers(0, 0xFFFF_FFFF),
    validation_bits=st.integers(0, 255),
    fru_id=st.binary(min_size=16, max_size=16),
    fru_text=st.binary(min_size=20, max_size=20),
    revision=st.integers(0, 0xFFFF),
)


def signed(header):
    return RecordHeader.decode(b"CPER" + header.encode()[4:6] + b"\xff\xff\xff\xff" + header.encode()[10:])


@given(structures(RecordHeader).map(signed), st.lists(sections, max_size=4).map(tuple))
def test_a_record_of_sections_is_read_back(header, parts):
    record = Record.decode(record_of(header, parts).encode())

    assert [record.body(i) for i in range(len(parts))] == [part.body for part in parts]
    assert [d.section_type for d in record.descriptors] == [part.section_type for part in parts]
    assert (record.header.section_count, record.header.record_length) == (len(parts), len(record.stored))


@pytest.mark.parametrize("record", RECORDS)
def test_bytes_of_a_record_are_encoded_again(record):
    assert Record.decode(record).encode() == record


@given(st.sampled_from(RECORDS), st.binary(max_size=30), st.binary(max_size=30))
def test_a_record_is_found_among_other_bytes(record, before, behind):
    assert Record.decode(before + record + behind, len(before)).stored == record


@settings(max_examples=400)
@given(mutated(RECORDS) | st.binary(max_size=300))
def test_any_bytes_give_a_record_or_malformed(source):
    try:
        record = Record.decode(source)
    except Malformed:
        return

    assert record.encode() == source[: record.header.record_length]
    assert all(record.body(i) for i in range(record.header.section_count))


@pytest.mark.parametrize("broken", CONTAINER_BREAKS, ids=lambda row: row.what)
@pytest.mark.parametrize("index", range(3))
def test_a_record_whose_lengths_lie_is_refused(broken, index):
    with pytest.raises(Malformed) as refused:
        Record.decode(broken.make(Stream(2, "test.broken", index)))

    assert refused.value.offset >= 0


def two_sections(first, second):
    """A record with two sections of 100 bytes, moved to these offsets behind the heads."""
    header = RecordHeader.decode(RECORDS[0])
    record = bytearray(record_of(header, (SectionOf(bytes(16), 2, bytes(100)),) * 2).encode())
    for number, moved in enumerate((first, second)):
        at = 128 + 72 * number
        record[at : at + 4] = (128 + 2 * 72 + moved).to_bytes(4, "little")
    return bytes(record)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 99), (99, 0), (1, 100)])
def test_sections_that_share_a_byte_are_refused(first, second):
    with pytest.raises(Malformed, match="lies over section") as refused:
        Record.decode(two_sections(first, second))

    assert refused.value.offset == 128 + 72 * (first <= second)


def test_sections_may_lie_in_any_order():
    assert Record.decode(two_sections(100, 0)).body(1) == bytes(100)


def test_a_record_longer_than_the_bound_is_refused():
    header = RecordHeader.decode(RECORDS[0])
    long = record_of(header, ()).encode()
    long = long[:20] + (RECORD_SIZE_MAX + 1).to_bytes(4, "little") + long[24:]

    with pytest.raises(Malformed):
        Record.decode(long + bytes(RECORD_SIZE_MAX + 1))

"""Record batches: Kafka's readers understand what is written, and no bytes do harm when they are read."""

import struct

import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.log.batches import batch_of, entries_of
from fleet.log.protocol import Entry, Written
from nodes.spec.layout import Malformed
from tests.declared import mutated

CRC_AT, CRC_FROM = 17, 21  # bytes of a batch's head
SOME = [Written(1_767_225_600_000 + 70 * i, b"host-%04d" % i, bytes(90 * i)) for i in range(4)]
times_ms = st.integers(-(1 << 40), 1 << 45)
records = st.lists(
    st.builds(Written, times_ms, st.binary(max_size=70), st.binary(max_size=300)), min_size=1, max_size=80
)
offsets = st.integers(0, 1 << 60)


def sealed(batch):
    """The batch with lengths and checksum that fit its bytes."""
    stored = bytearray(batch)
    if len(stored) > CRC_FROM:
        struct.pack_into(">i", stored, 8, len(stored) - 12)
        struct.pack_into(">I", stored, CRC_AT, calc_crc32c(bytes(stored[CRC_FROM:])))
    return bytes(stored)


def read(batch):
    return list(entries_of(batch, "topic", 3))


@given(offsets, records)
def test_what_was_written_is_read(offset, written):
    found = read(batch_of(offset, written))

    assert found == [Entry("topic", 3, offset + i, *record) for i, record in enumerate(written)]


@given(offsets, records)
def test_kafkas_reader_reads_the_same(offset, written):
    batch = batch_of(offset, written)
    theirs = DefaultRecordBatch(batch)

    assert theirs.validate_crc()
    assert [Entry("topic", 3, r.offset, r.timestamp, r.key, r.value) for r in theirs] == read(batch)


@settings(max_examples=400)
@given(st.binary(max_size=200) | mutated([batch_of(7, SOME), batch_of(0, SOME[:1])]), st.booleans())
def test_any_bytes_are_records_or_malformed(stored, seal):
    try:
        found = read(sealed(stored) if seal else stored)
    except Malformed:
        return

    assert [entry.offset for entry in found] == list(range(found[0].offset, found[0].offset + len(found)))


@pytest.mark.parametrize("at", [*range(8, 12), *range(16, 61)])  # a broker writes the epoch between them
def test_any_flipped_bit_of_the_head_is_found(at):
    for bit in range(8):
        stored = bytearray(batch_of(7, SOME))
        stored[at] ^= 1 << bit

        with pytest.raises(Malformed):
            read(bytes(stored))


def field_changed(at, form, value):
    stored = bytearray(batch_of(7, SOME))
    struct.pack_into(form, stored, at, value)
    return sealed(stored)


def octet_changed(at, octet):
    whole = batch_of(7, SOME)
    return sealed(whole[:at] + bytes((octet,)) + whole[at + 1 :])


REFUSED = {
    "an older version": (field_changed(16, ">b", 1), "version"),
    "compression": (field_changed(21, ">h", 1), "attributes"),
    "more records than there are": (field_changed(57, ">i", 5), "attributes"),
    "2^31 - 1 records": (sealed(field_changed(57, ">i", (1 << 31) - 1)), "attributes"),
    "no records": (field_changed(57, ">i", 0), "0 records"),
    "fewer bytes than a head": (bytes(60), "60 bytes"),
    "a record's number": (octet_changed(64, 2), "says that it is 1"),
    "a record's size": (octet_changed(61, batch_of(7, SOME)[61] + 2), "does not fill"),
    "headers": (octet_changed(76, 2), "does not fill"),
    "bytes behind the last": (sealed(batch_of(7, SOME) + b"\x00"), "behind the last"),
}


@pytest.mark.parametrize(("stored", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_says_why(stored, reason):
    with pytest.raises(Malformed) as refused:
        read(stored)

    assert reason in refused.value.reason


@pytest.mark.parametrize("lie", [b"\x01", b"\xff" * 9 + b"\x7f", b"\xff" * 12, b"\xfe\xff\xff\xff\x0f"])
def test_lengths_that_lie_are_refused(lie):
    whole = batch_of(7, SOME)
    key_at = 65  # length of the first record's key, behind size, attributes, time and number

    with pytest.raises(Malformed):
        read(sealed(whole[:key_at] + lie + whole[key_at + 1 :]))

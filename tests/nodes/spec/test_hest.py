"""HEST: built and read back, byte for byte as QEMU's, refused where it lies."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.spec.hest import (
    GenericAddress,
    Ghes,
    GhesV2,
    Hest,
    Notification,
    OtherSource,
    SourceType,
    TableHeader,
    checksum_of,
    with_checksum,
)
from nodes.spec.layout import Malformed
from tests.declared import mutated, structures

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "vectors.json").read_text())["vectors"]
QEMU = bytes.fromhex(next(v["value"] for v in VECTORS if v["kind"] == "hest_table"))
HEADER = TableHeader.decode(QEMU)


def table(*sources):
    body = len(sources).to_bytes(4, "little") + b"".join(source.encode() for source in sources)
    length = (36 + len(body)).to_bytes(4, "little")
    return with_checksum(QEMU[:4] + length + QEMU[8:36] + body)


def typed(kind, source_type):
    return structures(kind).map(
        lambda source: kind.decode(source_type.to_bytes(2, "little") + source.encode()[2:])
    )


def sized(source_type, size):
    return st.binary(min_size=size - 2, max_size=size - 2).map(
        lambda rest: OtherSource(source_type, source_type.to_bytes(2, "little") + rest)
    )


sources = st.one_of(
    typed(Ghes, SourceType.GHES),
    typed(GhesV2, SourceType.GHES_V2),
    sized(SourceType.IA32_NMI, 20),
    sized(SourceType.AER_ROOT_PORT, 48),
    sized(SourceType.AER_ENDPOINT, 44),
    sized(SourceType.AER_BRIDGE, 56),
)


@given(st.lists(sources, max_size=5))
def test_a_table_of_sources_is_read_back(given_sources):
    stored = table(*given_sources)

    hest = Hest.decode(stored)

    assert list(hest.sources) == given_sources
    assert hest.encode() == stored


def test_the_table_that_qemu_builds_is_encoded_again():
    assert Hest.decode(QEMU).encode() == QEMU
    assert checksum_of(QEMU) == HEADER.checksum


def test_a_source_of_qemu_has_its_address_and_its_notification():
    source = Hest.decode(QEMU).sources[0]

    assert GenericAddress.decode(source.error_status_address).address == 0x43DA0000
    assert Notification.decode(source.notification).type == 8


@settings(max_examples=300)
@given(mutated([QEMU]) | st.binary(max_size=200).map(lambda rest: b"HEST" + rest))
def test_any_bytes_give_a_table_or_malformed(source):
    try:
        hest = Hest.decode(source)
    except Malformed:
        return

    assert hest.encode() == source[: hest.header.length]


@pytest.mark.parametrize(
    ("offset", "replaced"),
    [
        (0, b"TSEH"),  # signature
        (4, (35).to_bytes(4, "little")),  # length within the header
        (4, (225).to_bytes(4, "little")),  # length beyond the bytes
        (36, (3).to_bytes(4, "little")),  # more sources than there are
        (36, (1).to_bytes(4, "little")),  # fewer
        (36, b"\xff\xff\xff\xff"),
        (40, (3).to_bytes(2, "little")),  # reserved type
        (40, (12).to_bytes(2, "little")),  # a type whose length is the source id: 0
        (132, (9).to_bytes(2, "little")),  # a shorter type: bytes are left over
    ],
)
def test_a_table_that_lies_is_refused(offset, replaced):
    with pytest.raises(Malformed):
        Hest.decode(QEMU[:offset] + replaced + QEMU[offset + len(replaced) :])


@pytest.mark.parametrize(("kind", "head", "count_at"), [(0, 40, 32), (1, 48, 44), (11, 48, 44)])
@pytest.mark.parametrize("banks", [0, 1, 255])
def test_a_banked_source_is_as_long_as_its_banks(kind, head, count_at, banks):
    body = bytearray(head + 28 * banks)
    body[0], body[count_at] = kind, banks

    hest = Hest.decode(table(OtherSource(kind, bytes(body))))

    assert hest.sources == (OtherSource(kind, bytes(body)),)


def test_a_newer_source_is_as_long_as_it_says():
    newer = OtherSource(13, (13).to_bytes(2, "little") + (30).to_bytes(2, "little") + bytes(26))

    assert Hest.decode(table(newer)).sources == (newer,)

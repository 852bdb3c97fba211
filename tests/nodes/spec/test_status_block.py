"""Status blocks: read back as they were written, refused where they contradict themselves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.sample import BLOCK, make
from fleet.sample.broken import BLOCK_BREAKS
from fleet.scenario.draws import Stream
from nodes.spec.guid import guid
from nodes.spec.layout import Malformed
from nodes.spec.sections import BY_GUID
from nodes.spec.status_block import (
    ENTRY_REVISION,
    DataEntry,
    StatusBlock,
    block_length,
    entry_head_size,
)
from tests.declared import mutated

UNKNOWN = guid("11112222-3333-4444-5555-666677778888")
BLOCKS = [make(BLOCK, 1, index).octets for index in range(40)]
CONTAINER_BREAKS = [row for row in BLOCK_BREAKS if row.what in {r.what for r in BLOCK_BREAKS[:12]}]

entries = st.builds(
    DataEntry,
    section_type=st.sampled_from([UNKNOWN, *BY_GUID]),
    error_severity=st.integers(0, 0xFFFF_FFFF),
    body=st.binary(max_size=100),
    flags=st.integers(0, 255),
    validation_bits=st.integers(0, 255),
    revision=st.sampled_from([ENTRY_REVISION, 0xFFFF]),
    fru_id=st.binary(min_size=16, max_size=16),
    fru_text=st.binary(min_size=20, max_size=20),
    timestamp=st.binary(min_size=8, max_size=8),
)
blocks = st.builds(
    StatusBlock,
    block_status=st.integers(0, 0xFFFF_FFFF),
    error_severity=st.integers(0, 0xFFFF_FFFF),
    entries=st.lists(entries, max_size=4).map(tuple),
)


@given(blocks)
def test_a_block_is_read_back(block):
    assert StatusBlock.decode(block.encode()) == block


@given(blocks, st.binary(min_size=1, max_size=50), st.integers(0, 40))
def test_raw_data_is_read_back_from_where_the_head_says(block, raw, gap):
    written = StatusBlock(
        block.block_status, block.error_severity, block.entries, raw, raw_data_offset=len(block.encode()) + gap
    )

    assert StatusBlock.decode(written.encode()) == written
    assert block_length(written.encode()) == len(written.encode())


@given(blocks, st.binary(max_size=30), st.binary(max_size=30))
def test_a_block_is_found_among_other_bytes(block, before, behind):
    assert StatusBlock.decode(before + block.encode() + behind, len(before)) == block


@pytest.mark.parametrize("block", BLOCKS)
def test_bytes_of_a_block_are_encoded_again(block):
    assert StatusBlock.decode(block).encode() == block


@settings(max_examples=400)
@given(mutated(BLOCKS) | st.binary(max_size=300))
def test_any_bytes_give_a_block_or_malformed(source):
    try:
        block = StatusBlock.decode(source)
    except Malformed:
        return

    assert source.startswith(StatusBlock(block.block_status, 0, ()).encode()[:4])
    assert sum(entry_head_size(e.revision) + len(e.body) for e in block.entries) <= len(source) - 20


@pytest.mark.parametrize("broken", CONTAINER_BREAKS, ids=lambda row: row.what)
@pytest.mark.parametrize("index", range(3))
def test_a_block_whose_lengths_lie_is_refused(broken, index):
    with pytest.raises(Malformed) as refused:
        StatusBlock.decode(broken.make(Stream(2, "test.broken", index)))

    assert refused.value.offset >= 0


@pytest.mark.parametrize(("revision", "size"), [(0, 64), (0x0201, 64), (0x02FF, 64), (0x0300, 72), (0xFFFF, 72)])
def test_an_entry_has_a_timestamp_from_revision_3_on(revision, size):
    block = StatusBlock(1, 0, (DataEntry(UNKNOWN, 0, b"body", revision=revision),))

    assert entry_head_size(revision) == size
    assert len(block.encode()) == 20 + size + 4
    assert StatusBlock.decode(block.encode()) == block

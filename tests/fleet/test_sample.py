"""Samples: varied, valid or refused, and a function of seed and index alone."""

import hashlib
from collections import Counter

import pytest

from fleet.decode.kinds import Options, decode
from fleet.sample import BLOCK, KINDS, RECORD, make, make_malformed
from fleet.sample.broken import BLOCK_BREAKS, RECORD_BREAKS
from fleet.sample.sections import CXL_ERROR_LOG_SIZE, CXL_PROTOCOL_GUID, CXL_VALID_ERROR_LOG, SECTIONS
from nodes.linux.dmesg_cxl import CxlProtocolSection
from nodes.linux.estatus import check
from nodes.spec.arm_section import ArmSection, ContextType, ErrorKind, kinds_of
from nodes.spec.cper import Record
from nodes.spec.layout import Malformed
from nodes.spec.memory_sections import MEMORY_GUID
from nodes.spec.platform_sections import PcieSection
from nodes.spec.sections import decode_section
from nodes.spec.severity import Severity
from nodes.spec.status_block import StatusBlock

COUNT = 300
BLOCKS = [make(BLOCK, 11, index) for index in range(COUNT)]
ENTRIES = [entry for sample in BLOCKS for entry in StatusBlock.decode(sample.octets).entries]
BODIES = [decode_section(entry.section_type, entry.body).value for entry in ENTRIES]
ARM = [body for body in BODIES if isinstance(body, ArmSection)]

both = pytest.mark.parametrize("kind", KINDS)


@both
def test_a_sample_depends_on_seed_and_index_only(kind):
    backwards = [make(kind, 5, index).octets for index in reversed(range(20))]

    assert backwards[::-1] == [make(kind, 5, index).octets for index in range(20)]
    assert len({make(kind, seed, 0).octets for seed in range(20)}) == 20


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        (BLOCK, "e7135adc18aa27397b6652c794010b58234d75b59a183659f3cde79527afd629"),
        (RECORD, "2888c102da76d0cf8f8a3f725ad4b5a2913676064ec00a85e854bcbf0d0f3d28"),
    ],
)
def test_the_samples_of_a_seed_are_the_same_everywhere(kind, digest):
    octets = b"".join(make(kind, 1, index).octets for index in range(64))

    assert hashlib.sha256(octets).hexdigest() == digest


def test_linux_and_the_decoder_accept_every_block():
    assert all(check(sample.octets) is None for sample in BLOCKS)
    assert all(StatusBlock.decode(sample.octets).encode() == sample.octets for sample in BLOCKS)


def test_the_decoder_accepts_every_record():
    samples = [make(RECORD, 11, index).octets for index in range(60)]

    assert all(Record.decode(octets).encode() == octets for octets in samples)


@both
def test_the_description_is_what_decode_says(kind):
    sample = make(kind, 4, 7)

    decoded = decode(kind, sample.octets, Options()).fields

    added = {key: sample.described[key] for key in sample.described.keys() - decoded.keys()}
    assert sample.described == {**decoded, **added}
    assert (added["seed"], added["index"]) == (4, 7)


def test_as_many_samples_as_there_are_kinds_of_sections_hold_every_kind():
    first = [sample.described["drawn"][0] for sample in BLOCKS[: len(SECTIONS)]]

    assert first == [kind.name for kind in SECTIONS]


def test_every_severity_stands_in_entries_and_in_blocks():
    assert {entry.error_severity for entry in ENTRIES} == set(Severity)
    assert {sample.described["severity"] for sample in BLOCKS} == set(Severity)


def test_entries_have_both_kinds_of_heads_and_every_combination_of_validity_bits():
    seen = Counter((entry.revision >> 8 >= 3, entry.validation_bits) for entry in ENTRIES)

    assert set(seen) == {(new, bits) for new in (False, True) for bits in range(8)}


def test_blocks_have_one_or_several_sections_and_some_raw_data():
    blocks = [StatusBlock.decode(sample.octets) for sample in BLOCKS]

    assert {len(block.entries) for block in blocks} == {1, 2, 4}
    assert 0.1 < sum(bool(block.raw) for block in blocks) / COUNT < 0.5


def test_every_validity_bit_is_set_somewhere_and_clear_somewhere():
    with_bits = [body for body in BODIES if body is not None and getattr(body, "valid_bits", None)]
    for kind in {type(body) for body in with_bits}:
        words = [body.validation_bits for body in with_bits if type(body) is kind]
        for bit in kind.valid_bits.values():
            assert {word >> bit & 1 for word in words} == {0, 1}, (kind, bit)


def test_pcie_sections_name_a_device_or_an_rcrb_address_and_never_both():
    words = [body.validation_bits for body in BODIES if isinstance(body, PcieSection)]

    assert {(word >> 8 & 3, word >> 3 & 1) for word in words} == {(0, 0), (0, 1), (1, 0), (3, 0)}


def test_memory_sections_have_80_and_73_bytes():
    assert {len(entry.body) for entry in ENTRIES if entry.section_type == MEMORY_GUID} == {80, 73}


def test_a_cxl_section_never_calls_an_error_log_valid_that_it_does_not_hold():
    found = [entry.body for entry in ENTRIES if entry.section_type == CXL_PROTOCOL_GUID]
    heads = [CxlProtocolSection.decode(body) for body in found]

    valid = [head.error_log_length for head in heads if head.validation_bits & CXL_VALID_ERROR_LOG]
    assert set(valid) == {CXL_ERROR_LOG_SIZE}
    assert any(head.error_log_length == 0 for head in heads)


def test_arm_sections_hold_every_kind_of_error_and_every_type_of_context():
    errors = [error for section in ARM for error in section.errors]

    assert {kind for error in errors for kind in kinds_of(error.type)} == set(ErrorKind)
    assert {error.validation_bits for error in errors} > {0, 1, 2, 4, 8, 16, 31}
    assert {context.type for section in ARM for context in section.contexts} > set(ContextType)


def test_numbers_reach_the_edges_of_their_width():
    addresses = {body.physical_address for body in BODIES if hasattr(body, "physical_address")}

    assert {0, 1, (1 << 64) - 1, 1 << 63, (1 << 63) - 1, 0x0123_4567_89AB_CDEF} <= addresses


@pytest.mark.parametrize(("kind", "breaks"), [(BLOCK, BLOCK_BREAKS), (RECORD, RECORD_BREAKS)])
def test_every_way_to_be_wrong_is_refused_and_says_where(kind, breaks):
    for index in range(2 * len(breaks)):
        sample = make_malformed(kind, 6, index)

        with pytest.raises(Malformed) as refused:
            decode(kind, sample.octets, Options())
        said = sample.described
        assert (said["malformed"], said["offset"]) == (refused.value.reason, refused.value.offset)
        assert said["wrong"] == breaks[index % len(breaks)].what


def test_a_broken_block_says_what_linux_makes_of_it():
    said = {make_malformed(BLOCK, 6, index).described["linux"] for index in range(len(BLOCK_BREAKS))}

    assert "accepted" in said
    assert len(said) > 8

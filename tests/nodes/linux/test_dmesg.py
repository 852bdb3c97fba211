"""What Linux prints, held against what real kernels printed (tests/golden/linux) and against the rules."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.sample import BLOCK, make
from fleet.sample.broken import BLOCK_BREAKS
from fleet.scenario.draws import Stream
from nodes.linux.dmesg import dmesg
from nodes.linux.estatus import check
from nodes.policy import Kernel
from nodes.spec.arm_section import ARM_GUID, ArmHeader, Context, ErrorInfo, arm_section
from nodes.spec.guid import guid
from nodes.spec.layout import Malformed
from nodes.spec.memory_sections import MEMORY_GUID, MemorySection
from nodes.spec.platform_sections import PROCESSOR_GUID, ProcessorSection
from nodes.spec.status_block import DataEntry, StatusBlock

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "linux").glob("*.json"))
UNKNOWN = guid("11112222-3333-4444-5555-666677778888")
kernels = pytest.mark.parametrize("kernel", [Kernel.V6_1, Kernel.V6_12])


def block_with(section_type, body, **entry):
    return StatusBlock(1, 0, (DataEntry(section_type, 0, body, **entry),)).encode()


def pairs():
    return pytest.mark.parametrize(
        "pair", [json.loads(path.read_text()) for path in GOLDEN], ids=[p.stem for p in GOLDEN]
    )


def test_the_golden_pairs_are_there():
    assert len(GOLDEN) == 59


@kernels
@pairs()
def test_every_line_is_what_the_real_kernel_printed(pair, kernel):
    block, real = bytes.fromhex(pair["block"]), pair[kernel]

    printed = [] if check(block) else "\n".join(dmesg(block, kernel)).split("\n")

    assert printed == real["printed"]


@kernels
@pairs()
def test_a_block_is_refused_where_the_real_kernel_refused_it(pair, kernel):
    refused = check(bytes.fromhex(pair["block"])) is not None

    assert refused == (pair[kernel]["check"] != 0)


def test_6_19_prints_what_6_12_prints():
    blocks = [make(BLOCK, 1, index).octets for index in range(40)]

    assert [dmesg(b, Kernel.V6_19) for b in blocks] == [dmesg(b, Kernel.V6_12) for b in blocks]


def test_the_line_that_names_the_error_source_comes_first_where_it_is_asked_for():
    block = block_with(UNKNOWN, b"")

    lines = dmesg(block, Kernel.V6_12, source_id=7)

    assert lines[0] == "Hardware error from APEI Generic Hardware Error Source: 7"
    assert lines[1:] == dmesg(block, Kernel.V6_12)


@pytest.mark.parametrize(("sequence", "lines"), [(1, 1), (999_999_999, 1), (1_000_000_000, 2)])
def test_flags_in_words_wrap_where_the_line_with_its_prefix_passes_80(sequence, lines):
    section = ProcessorSection(validation_bits=1 << 2, error_type=0b1110)

    printed = dmesg(block_with(PROCESSOR_GUID, section.encode()), Kernel.V6_12, sequence=sequence)

    assert printed[3] == "  error_type: 0x0e"
    assert len(printed[4:]) == lines


def test_a_dump_that_the_kernel_would_not_survive_ends_with_the_block():
    context = Context(4, bytes(16)).encode()
    lying = context[:4] + (0xFFFF_FFF0).to_bytes(4, "little") + context[8:]
    header = ArmHeader(validation_bits=0, error_info_count=0, context_count=0, section_length=0)
    body = arm_section((ErrorInfo(type=2),), (Context(4, bytes(16)),), header=header).encode()

    lines = dmesg(block_with(ARM_GUID, body[: -len(context)] + lying), Kernel.V6_12)

    assert lines[-2:] == [
        "   register context type: AArch64 general purpose registers",
        "   00000000: 00000000 00000000 00000000 00000000",
    ]


def test_bytes_behind_a_block_are_not_read():
    body = MemorySection(validation_bits=1 << 15, rank_number=0x1234).encode()[:75]
    block = block_with(MEMORY_GUID, body)

    assert dmesg(block + b"\xff" * 8, Kernel.V6_12) == dmesg(block, Kernel.V6_12)
    assert "  rank:52 " in dmesg(block, Kernel.V6_12)


@pytest.mark.parametrize("broken", BLOCK_BREAKS, ids=lambda row: row.what)
@kernels
def test_a_broken_block_is_printed_or_refused_and_nothing_else(broken, kernel):
    block = broken.make(Stream(5, "test.dmesg", 0))

    if check(block) is None:
        assert dmesg(block, kernel)
    else:
        with pytest.raises(Malformed):
            dmesg(block, kernel)


@given(st.sampled_from([make(BLOCK, 2, i).octets for i in range(30)]), st.data())
def test_any_bytes_in_a_block_are_printed_or_refused(block, data):
    changed = bytearray(block)
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))

    refused = check(bytes(changed))

    assert refused is not None or all(isinstance(line, str) for line in dmesg(bytes(changed), Kernel.V6_12))

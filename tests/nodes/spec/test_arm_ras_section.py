"""Arm RAS sections: error records register by register."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.sample.sections import SECTIONS
from fleet.scenario.draws import Stream
from nodes.spec.arm_ras_section import ArmRasHeader, ArmRasSection, ErrorRecordEntry, arm_ras_section
from tests.declared import structures

DRAW = next(kind.draw for kind in SECTIONS if kind.name == "Arm RAS")


@given(structures(ArmRasHeader), st.lists(structures(ErrorRecordEntry), max_size=5).map(tuple))
def test_a_section_of_records_is_read_back(header, entries):
    section = arm_ras_section(header, entries)

    decoded = ArmRasSection.decode(section.encode())

    assert decoded == section
    assert decoded.entries == entries


@given(st.integers(0, 500))
def test_records_auxiliary_contexts_and_pairs_are_found_by_their_offsets(index):
    stored = DRAW(Stream(1, "test.ras", index))

    section = ArmRasSection.decode(stored)

    assert section.encode() == stored
    assert [e.record_index for e in section.entries] == list(range(section.header.entry_count))
    assert all(len(c.registers) == c.head.register_count for c in section.contexts)
    assert section.header.auxiliary_offset or not (section.contexts or section.key_values)

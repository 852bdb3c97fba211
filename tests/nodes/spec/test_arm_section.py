"""ARM processor sections: type bytes in three dialects, information words, contexts."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.spec.arm_section import (
    CONTEXTS,
    INFORMATION_FIELDS,
    ArmHeader,
    ArmSection,
    Context,
    ContextType,
    Dialect,
    ErrorInfo,
    ErrorInformation,
    ErrorKind,
    MiscRegister,
    arm_section,
    context_of,
    information,
    kinds_of,
    type_byte,
)
from nodes.spec.layout import Malformed
from tests.declared import structures

errors = structures(ErrorInfo).map(lambda error: msgspec.structs.replace(error, length=32))
contexts = st.builds(
    Context, type=st.integers(0, 0xFFFF), registers=st.binary(max_size=80), version=st.integers(0, 0xFFFF)
)
sections = st.builds(
    lambda e, c, v, h: arm_section(tuple(e), tuple(c), v, header=h),
    st.lists(errors, min_size=1, max_size=3),
    st.lists(contexts, max_size=3),
    st.binary(max_size=20),
    structures(ArmHeader),
)


@given(sections)
def test_a_section_is_read_back(section):
    assert ArmSection.decode(section.encode()) == section
    assert section.header.section_length == len(section.encode())


@given(sections, st.binary(max_size=20), st.binary(max_size=20))
def test_a_section_ends_where_it_says(section, before, behind):
    assert ArmSection.decode(before + section.encode() + behind, len(before)) == section


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("kind", ErrorKind)
def test_a_type_byte_names_its_kind_in_its_own_dialect(kind, dialect):
    assert kinds_of(type_byte(kind, dialect), dialect) == (kind,)


@given(st.sets(st.sampled_from(ErrorKind)), st.sampled_from([Dialect.MASK_2_9A, Dialect.MASK_2_11]))
def test_a_mask_names_all_its_kinds(kinds, dialect):
    byte = sum(type_byte(kind, dialect) for kind in kinds)

    assert set(kinds_of(byte, dialect)) == kinds


@pytest.mark.parametrize(
    ("byte", "enumeration", "mask_2_9a", "mask_2_11"),
    [
        (0, ("CACHE",), (), ()),
        (1, ("TLB",), (), ("CACHE",)),
        (2, ("BUS",), ("CACHE",), ("TLB",)),
        (8, (), ("BUS",), ("MICRO_ARCHITECTURAL",)),
    ],
)
def test_the_same_byte_means_another_kind_in_another_dialect(byte, enumeration, mask_2_9a, mask_2_11):
    read = [tuple(kind.name for kind in kinds_of(byte, dialect)) for dialect in Dialect]

    assert read == [enumeration, mask_2_9a, mask_2_11]


@given(st.sets(st.sampled_from(INFORMATION_FIELDS), min_size=1))
def test_an_information_word_has_the_validity_bits_of_its_fields(names):
    word = ErrorInformation(information(**dict.fromkeys(names, 1)))

    assert {name for i, name in enumerate(INFORMATION_FIELDS) if word.VALID >> i & 1} == names
    assert all(getattr(word, name) == 1 for name in names)


@pytest.mark.parametrize("kind", CONTEXTS)
def test_a_context_names_its_registers_in_the_documents_order(kind):
    values = {name: index + 1 for index, name in enumerate(CONTEXTS[kind].registers)}

    context = context_of(ContextType(kind), values)

    assert context.named() == values
    assert len(context.registers) == CONTEXTS[kind].size


@pytest.mark.parametrize(
    ("kind", "size"), [(0, 64), (1, 96), (2, 64), (3, 8), (4, 256), (5, 136), (6, 120), (7, 80), (9, 96)]
)
def test_a_context_has_the_size_of_the_documents_table(kind, size):
    assert CONTEXTS[kind].size == size


def test_a_misc_context_tells_its_encoding_and_value():
    registers = MiscRegister(0x4028, 0xDEAD).encode()

    assert Context(ContextType.MISC, registers).named() == {"encoding": 0x4028, "value": 0xDEAD}


@given(st.integers(0, 0xFFFF), st.binary(max_size=60).filter(lambda b: len(b) not in {8, 10}))
def test_a_context_of_another_size_names_nothing(kind, registers):
    assert Context(kind, registers).named() == {} or len(registers) == CONTEXTS[kind].size


@given(sections.filter(lambda section: section.contexts))
def test_padded_contexts_are_read_back_as_padded(section):
    spare = [
        Context(c.type, c.registers, c.version, bytes(-(8 + len(c.registers)) % 16)) for c in section.contexts
    ]
    padded = arm_section(section.errors, tuple(spare), section.vendor, header=section.header)

    assert ArmSection.decode(padded.encode(), padded=True) == padded


@pytest.mark.parametrize("length", [0, 31, 33, 255])
def test_error_information_of_another_length_is_refused_at_its_place(length):
    section = arm_section((ErrorInfo(), ErrorInfo(length=length)), header=ArmHeader(0, 0, 0, 0))

    with pytest.raises(Malformed) as refused:
        ArmSection.decode(section.encode())

    assert refused.value.offset == 40 + 32

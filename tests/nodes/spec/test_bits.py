"""Every declared register: fields, names, and what a software write does."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.spec.bits import Access, Field, Register
from tests.declared import REGISTERS, every_register, words

few = settings(max_examples=15)


def test_all_registers_are_found():
    assert len(REGISTERS) >= 30


@every_register
@few
@given(data=st.data())
def test_a_register_is_the_sum_of_its_fields_and_its_undeclared_bits(kind, data):
    register = data.draw(words(kind))
    fields = {part.name: part.value for part in register.explained()}

    assert kind.of(**fields) | register.undeclared() == register
    assert kind.of(**fields) & register.undeclared() == 0


@every_register
def test_fields_are_explained_from_the_highest_bit_down_without_overlap(kind):
    places = [(part.msb, part.lsb) for part in kind(0).explained()]

    assert all(lsb > msb for (_, lsb), (msb, _) in pairwise(places))
    assert all(kind.width > msb >= lsb >= 0 for msb, lsb in places)


@every_register
@few
@given(data=st.data())
def test_replacing_a_field_leaves_the_others_alone(kind, data):
    register = data.draw(words(kind))
    name = data.draw(st.sampled_from(sorted(kind.fields)))
    field = kind.fields[name]
    value = data.draw(st.integers(0, field.mask >> field.lsb))

    changed = register.but(**{name: value})

    assert getattr(changed, name) == value
    assert changed & ~field.mask == register & ~field.mask


@every_register
@few
@given(data=st.data())
def test_a_write_does_to_each_field_what_its_access_kind_says(kind, data):
    before, value = data.draw(words(kind)), data.draw(words(kind))

    after = before.written(value)

    expected = {Access.RW: lambda o, w: w, Access.RO: lambda o, w: o, Access.W1C: lambda o, w: o & ~w}
    for name, field in kind.fields.items():
        assert getattr(after, name) == expected[field.access](getattr(before, name), getattr(value, name)), name
    assert after.undeclared() == before.undeclared()


@every_register
def test_every_named_value_fits_its_field(kind):
    for field in kind.fields.values():
        assert all(value <= field.mask >> field.lsb for value in field.values or ())


@every_register
def test_every_value_of_a_small_field_has_its_name_or_none(kind):
    for field in kind.fields.values():
        known = {int(value): value.name for value in field.values or ()}
        assert [field.name_of(v) for v in range(8)] == [known.get(v) for v in range(8)]


def test_overlapping_fields_fail_when_the_declaration_loads():
    with pytest.raises(AssertionError, match="overlaps"):

        class Wrong(Register, width=8):
            first = Field(3, 1)
            second = Field(1)


def test_a_field_outside_the_width_fails_when_the_declaration_loads():
    with pytest.raises(AssertionError, match="outside"):

        class Wrong(Register, width=8):
            first = Field(8)


def test_a_value_that_does_not_fit_is_our_own_fault():
    class Small(Register, width=8):
        low = Field(1, 0)

    with pytest.raises(AssertionError, match="does not fit"):
        Small.of(low=4)

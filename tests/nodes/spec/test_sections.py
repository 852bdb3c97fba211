"""The table of section types: every drawn body is decoded and encoded again, broken ones are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.sample.broken import SECTION_BREAKS
from fleet.sample.sections import SECTIONS
from fleet.scenario.draws import Stream
from nodes.spec.guid import guid
from nodes.spec.layout import Malformed
from nodes.spec.sections import BY_GUID, OTHER_NAMES, SECTION_TYPES, SIZE_MIN, decode_section, section_name
from tests.declared import mutated

DECODED = [kind for kind in SECTIONS if kind.section_type in BY_GUID]
BODIES = {row.guid: [] for row in SECTION_TYPES}
for number, kind in enumerate(DECODED):
    BODIES[kind.section_type] += [kind.draw(Stream(4, "test.bodies", 100 * number + i)) for i in range(20)]
UNKNOWN = guid("11112222-3333-4444-5555-666677778888")

types = pytest.mark.parametrize("row", SECTION_TYPES, ids=lambda row: row.name)


@types
def test_every_type_is_drawn(row):
    assert len(BODIES[row.guid]) >= 20


@types
def test_a_body_is_encoded_as_it_was(row):
    for body in BODIES[row.guid]:
        assert decode_section(row.guid, body).encode() == body


@types
@settings(max_examples=150)
@given(data=st.data())
def test_any_bytes_give_a_section_or_malformed(row, data):
    body = data.draw(mutated(BODIES[row.guid]) | st.binary(max_size=150))

    try:
        section = decode_section(row.guid, body)
    except Malformed:
        return

    assert section.encode() == body


@types
def test_a_body_shorter_than_the_least_is_refused(row):
    least = SIZE_MIN.get(row.guid, 0) or min(map(len, BODIES[row.guid]))

    for size in (0, 1, min(least, 40) - 1):
        with pytest.raises(Malformed):
            decode_section(row.guid, BODIES[row.guid][0][:size])


@types
@given(behind=st.binary(min_size=1, max_size=40))
def test_bytes_behind_a_section_are_kept(row, behind):
    body = BODIES[row.guid][0]

    assert decode_section(row.guid, body + behind).encode() == body + behind


@given(st.binary(max_size=100))
def test_an_unknown_section_is_kept_as_bytes(body):
    section = decode_section(UNKNOWN, body)

    assert (section.value, section.rest, section.encode()) == (None, body, body)


@pytest.mark.parametrize("broken", SECTION_BREAKS, ids=lambda row: row.what)
@pytest.mark.parametrize("index", range(3))
def test_a_section_that_lies_is_refused_at_a_place_within_the_whole(broken, index):
    body = broken.make(Stream(2, "test.broken", index))

    with pytest.raises(Malformed) as refused:
        decode_section(broken.kind.section_type, body, offset=1000)

    assert refused.value.offset >= 1000


def test_every_type_has_its_name_and_no_type_has_two():
    assert not set(BY_GUID) & set(OTHER_NAMES)
    assert section_name(UNKNOWN) == "unknown"
    assert section_name(DECODED[0].section_type) == "memory"

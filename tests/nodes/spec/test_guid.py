"""GUIDs as they lie in memory."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from nodes.spec.guid import guid, guid_text


@given(st.uuids())
def test_a_guid_is_read_back_as_it_was_written(value):
    assert guid_text(guid(str(value))) == str(value)


@given(st.binary(min_size=16, max_size=16))
def test_the_first_three_groups_are_little_endian(stored):
    text = guid_text(stored)

    assert UUID(text).bytes == stored[3::-1] + stored[5:3:-1] + stored[7:5:-1] + stored[8:]

"""The digest of a run: the same however values came, another one for any difference."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.digest import SEGMENT_EVENTS, Digested, PartitionDigest, digest_of, run_digest

values = st.lists(st.binary(max_size=4), max_size=40)
LENGTHS = (
    0,
    1,
    SEGMENT_EVENTS - 1,
    SEGMENT_EVENTS,
    SEGMENT_EVENTS + 1,
    2 * SEGMENT_EVENTS,
    3 * SEGMENT_EVENTS - 1,
)


def many(count):
    return [index.to_bytes(4, "big") for index in range(count)]


def cut(parts, sizes):
    """The digest of values that come in parts of these sizes, over and over."""
    digest = PartitionDigest()
    at = turn = 0
    while at < len(parts):
        digest.add(parts[at : at + sizes[turn % len(sizes)]])
        at += sizes[turn % len(sizes)]
        turn += 1
    return digest.done()


@given(st.sampled_from(LENGTHS), st.lists(st.integers(1, 5000), min_size=1, max_size=5))
def test_it_does_not_matter_how_values_are_cut(count, sizes):
    whole = digest_of(many(count))
    parts = cut(many(count), sizes)

    assert parts == whole


@pytest.mark.parametrize("count", LENGTHS)
def test_a_partition_is_the_sha256_of_its_segments_sha256(count):
    stored = many(count)
    segments = [stored[at : at + SEGMENT_EVENTS] for at in range(0, count, SEGMENT_EVENTS)]

    assert digest_of(stored).digest == sha256(b"".join(sha256(b"".join(s)).digest() for s in segments)).digest()


def test_asking_for_the_digest_changes_nothing():
    digest = PartitionDigest()
    digest.add(many(10))
    digest.done()
    digest.add(many(10))

    assert digest.done() == digest_of(many(10) + many(10))


def test_nothing_added_is_nothing():
    digest = PartitionDigest()
    digest.add([])

    assert digest.done() == Digested(0, sha256().digest())


@given(values, st.data())
def test_one_changed_value_is_another_digest(stored, data):
    index = data.draw(st.integers(0, max(0, len(stored) - 1)))
    changed = [*stored[:index], b"other", *stored[index + 1 :]]

    assert digest_of(changed).digest != digest_of(stored).digest


def run_of(**parts):
    return run_digest({("topic", int(name[1:])): digest_of(part) for name, part in parts.items()})


def test_the_order_in_which_partitions_are_named_does_not_matter():
    assert run_of(p0=many(2), p1=many(3)) == run_of(p1=many(3), p0=many(2))


def test_a_run_is_its_topics_partitions_and_counts():
    some, others = many(2), many(3)
    runs = [
        run_digest({("a", 0): digest_of(some), ("a", 1): digest_of(others)}),
        run_digest({("a", 0): digest_of(others), ("a", 1): digest_of(some)}),
        run_digest({("b", 0): digest_of(some), ("b", 1): digest_of(others)}),
        run_digest({("a", 0): digest_of([b"".join(some)]), ("a", 1): digest_of(others)}),
        run_digest({("a", 0): digest_of(some)}),
        run_digest({}),
    ]

    assert len(set(runs)) == len(runs)


def test_a_known_run_has_the_digest_that_it_always_had():
    digest = run_of(p0=many(3), p7=many(SEGMENT_EVENTS + 1))

    assert digest == "84f5a8197314478c1cb23a3b34a75716d26a1a5cd38b235484c9eb2b2db04537"


@given(st.sampled_from(LENGTHS), st.integers(0, 5000))
def test_a_digest_can_be_carried_on_from_its_whole_segments(count, more):
    first = PartitionDigest()
    first.add(many(count))
    second = PartitionDigest(first.whole(count))
    second.add(many(count)[second.count :] + many(more))

    assert second.done() == digest_of(many(count) + many(more))

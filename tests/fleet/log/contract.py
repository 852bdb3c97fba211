"""What every log promises, whatever keeps it: a suite that each kind of log inherits.

A subclass has a fixture ``make``: a function that makes a new log of its kind for a number of partitions, and
returns it with a function that opens the same log once more, as another process would. Commands are any bytes; an
event says its position in its partition, as those of hosts do.
"""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.codec import encode
from fleet.log.protocol import Checkpoint, Commands, Entry, LogError, Written
from fleet.manifest import Manifest, Options
from nodes.events import COMMAND, CPER, DEAD_LETTER, HOST_TOPICS, OUTCOME, SYNDROME

START_MS = 1_767_225_600_000
PARTITIONS = 3
MANY_LOGS = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]  # each example makes its own
written = st.tuples(
    st.integers(0, 1 << 45), st.binary(max_size=30), st.binary(max_size=200)
)  # real times, hosts, what is in events
commits = st.lists(st.dictionaries(st.sampled_from(HOST_TOPICS), st.lists(written, max_size=5)), max_size=6)


def manifest_of(partitions=PARTITIONS, **fields):
    """A run that nobody ran."""
    return Manifest("contract", 'name = "contract"', Options(), 1, "2026-01-01T00:00:00Z", partitions, **fields)


def record(number, size=40):
    """A record that no other number has."""
    return Written(START_MS + number, b"host-%04d" % number, number.to_bytes(4, "big") * (size // 4))


def event(n, number=None, size=40):
    """An event at position ``n`` that no other number has."""
    stamp, key, value = record(n if number is None else number, size)
    return Written(stamp, key, encode((99, n, "", 0, 0, value)))


def events(*span):
    """Events at the positions of a range."""
    return [event(n) for n in range(*span)]


def numbered(commits):
    """The same commits with the position of each event in its topic, and all of each topic."""
    whole = {topic: [] for topic in HOST_TOPICS}
    given = []
    for batches in commits:
        given.append({})
        for topic, parts in batches.items():
            first = len(whole[topic])
            part = [Written(*head, encode((99, n, value))) for n, (*head, value) in enumerate(parts, first)]
            given[-1][topic] = part
            whole[topic] += part
    return given, whole


def entries(topic, partition, records, first=0):
    """The records as they are read."""
    return [Entry(topic, partition, first + index, *found) for index, found in enumerate(records)]


def read(log, topic, partition=0):
    """All records of a partition of a topic."""
    return list(log.read(topic, partition))


class LogContract:
    @pytest.fixture
    def make(self):
        raise NotImplementedError

    async def test_commands_are_read_in_the_order_in_which_they_were_appended(self, make):
        log, again = make(PARTITIONS)
        first, second = [record(n) for n in range(5)], [record(n) for n in range(5, 8)]
        await log.append_commands(1, first)
        await log.append_commands(1, second)
        await log.close()

        assert read(again(), COMMAND, 1) == entries(COMMAND, 1, first + second)
        assert read(again(), COMMAND, 0) == read(again(), COMMAND, 2) == []

    async def test_a_commit_goes_to_all_its_topics(self, make):
        log, again = make(PARTITIONS)
        writer = log.writer(2)
        await writer.commit({SYNDROME: events(2), CPER: [event(0, 3)], OUTCOME: [event(0, 4)]})
        await writer.close()

        assert read(again(), SYNDROME, 2) == entries(SYNDROME, 2, events(2))
        assert read(again(), CPER, 2) == entries(CPER, 2, [event(0, 3)])
        assert read(again(), OUTCOME, 2) == entries(OUTCOME, 2, [event(0, 4)])

    async def test_each_topic_of_each_partition_counts_its_own_offsets(self, make):
        log, again = make(PARTITIONS)
        for partition in range(PARTITIONS):
            writer = log.writer(partition)
            for turn in range(3):
                first, behind = turn * (partition + 1), (turn + 1) * (partition + 1)
                await writer.commit({SYNDROME: events(first, behind), OUTCOME: [event(turn)]})
            await writer.close()

        for partition in range(PARTITIONS):
            count = 3 * (partition + 1)
            assert [entry.offset for entry in read(again(), SYNDROME, partition)] == list(range(count))
            assert [entry.offset for entry in read(again(), OUTCOME, partition)] == [0, 1, 2]

    async def test_what_is_committed_can_be_read_while_more_is_written(self, make):
        log, again = make(PARTITIONS)
        writer = log.writer(0)
        reader = again()
        for turn in range(4):
            assert len(read(reader, SYNDROME)) == turn
            await writer.commit({SYNDROME: [event(turn)]})
            await log.append_commands(0, [record(turn)])
        await writer.close()
        await log.close()

        assert read(reader, SYNDROME) == entries(SYNDROME, 0, events(4))
        assert read(reader, COMMAND) == entries(COMMAND, 0, [record(n) for n in range(4)])

    async def test_a_reader_that_began_early_sees_a_beginning(self, make):
        log, again = make(PARTITIONS)
        writer = log.writer(0)
        await writer.commit({SYNDROME: events(2)})
        reading = again().read(SYNDROME, 0)
        begun = [next(reading)]
        await writer.commit({SYNDROME: [event(2)]})
        await writer.close()

        found = begun + list(reading)
        assert found == entries(SYNDROME, 0, events(3))[: len(found)]
        assert len(found) >= 2

    async def test_a_commit_of_nothing_changes_nothing(self, make):
        log, again = make(PARTITIONS)
        writer = log.writer(0)
        await writer.commit({})
        await writer.commit({SYNDROME: [], OUTCOME: []})
        await writer.commit({SYNDROME: [event(0)], CPER: []})
        await log.append_commands(0, [])
        await writer.close()
        await log.close()

        assert read(again(), SYNDROME) == entries(SYNDROME, 0, [event(0)])
        assert read(again(), CPER) == read(again(), COMMAND) == []

    async def test_a_log_that_nothing_was_written_to_is_empty(self, make):
        log, again = make(PARTITIONS)
        await log.writer(0).close()
        await log.close()

        assert [read(again(), topic, 0) for topic in (COMMAND, *HOST_TOPICS)] == [[], [], [], []]

    async def test_keys_and_values_may_be_any_bytes(self, make):
        log, again = make(PARTITIONS)
        odd = [Written(0, b"", b""), Written(START_MS, b"\x00\xff", bytes(range(256))), record(1, 64 * 1024)]
        large = [Written(START_MS, b"\x00\xff", event(0).value), event(1, size=63 * 1024)]
        writer = log.writer(0)
        await log.append_commands(0, odd)
        await writer.commit({CPER: large})
        await writer.close()

        assert read(again(), COMMAND) == entries(COMMAND, 0, odd)
        assert read(again(), CPER) == entries(CPER, 0, large)

    async def test_times_may_go_back(self, make):
        log, again = make(PARTITIONS)
        records = [event(n, number) for n, number in enumerate((1000, 10, 500))]
        writer = log.writer(0)
        await writer.commit({OUTCOME: records})
        await writer.close()

        assert read(again(), OUTCOME) == entries(OUTCOME, 0, records)

    async def test_a_commit_of_many_records_is_one_commit(self, make):
        log, again = make(PARTITIONS)
        records = [event(n, size=100) for n in range(6000)]
        writer = log.writer(0)
        await writer.commit({SYNDROME: records})
        await writer.close()

        assert read(again(), SYNDROME) == entries(SYNDROME, 0, records)

    async def test_partitions_can_be_written_at_once(self, make):
        log, again = make(PARTITIONS)
        writers = [log.writer(partition) for partition in range(PARTITIONS)]
        for turn in range(5):
            await asyncio.gather(*(writer.commit({SYNDROME: [event(turn)]}) for writer in writers))
            await asyncio.gather(*(log.append_commands(p, [record(turn)]) for p in range(PARTITIONS)))
        await asyncio.gather(log.close(), *(writer.close() for writer in writers))

        for partition in range(PARTITIONS):
            commands = [record(n) for n in range(5)]
            assert read(again(), SYNDROME, partition) == entries(SYNDROME, partition, events(5))
            assert read(again(), COMMAND, partition) == entries(COMMAND, partition, commands)

    async def test_commands_of_several_writers_stand_in_the_order_in_which_they_came(self, make):
        log, again = make(PARTITIONS)
        other = again()
        offsets = [
            await log.append_commands(0, [record(1), record(2)]),
            await other.append_commands(0, [record(3)]),
            await log.append_commands(0, [record(4)]),
            await other.append_commands(0, []),
        ]
        await log.close()
        await other.close()

        assert offsets == [2, 3, 4, 4]
        assert read(again(), COMMAND) == entries(COMMAND, 0, [record(n) for n in range(1, 5)])

    async def test_commands_can_be_read_backwards(self, make):
        log, again = make(PARTITIONS)
        for turn in range(3):
            await log.append_commands(0, [record(2 * turn), record(2 * turn + 1)])
        await log.close()

        assert list(again().commands_backwards(0)) == read(again(), COMMAND)[::-1]

    async def test_reading_can_begin_anywhere(self, make):
        log, again = make(PARTITIONS)
        writer = log.writer(0)
        for turn in range(3):
            await writer.commit({SYNDROME: events(2 * turn, 2 * turn + 2), CPER: [event(turn)]})
        await writer.close()

        for start in range(8):
            assert list(again().read(SYNDROME, 0, start=start)) == read(again(), SYNDROME)[start:]

    async def test_a_feed_gives_commands_as_they_come_until_it_is_told_where_they_end(self, make):
        log, again = make(PARTITIONS)
        await log.append_commands(0, [record(n) for n in range(5)])
        feed = again().feed(0, 2)
        first = await feed.next()
        waiting = asyncio.ensure_future(feed.next())
        await asyncio.sleep(0)
        await log.append_commands(0, [record(5)])
        second = await waiting
        feed.finish(6)

        some = [record(n) for n in (2, 3, 4)]
        assert first == Commands(2, [of.value for of in some], [of.key for of in some])
        assert second == Commands(5, [record(5).value], [record(5).key])
        assert (await feed.next()).values == []
        feed.close()
        await log.close()

    @pytest.mark.parametrize(("sizes", "end"), [((9,), 4), ((2, 2, 9), 4), ((4, 4, 4), 4), ((3, 300, 3), 290)])
    async def test_what_stands_behind_the_end_is_not_handed_out_however_it_was_written(self, make, sizes, end):
        log, again = make(PARTITIONS)
        numbers = iter(range(sum(sizes)))
        for size in sizes:
            await log.append_commands(0, [record(next(numbers)) for _ in range(size)])
        feed = again().feed(0, 1)
        feed.finish(end)
        found = []
        while given := (await feed.next()).values:
            found += given

        assert found == [record(n).value for n in range(1, end)]
        feed.close()
        await log.close()

    async def test_an_end_that_is_said_late_cuts_what_was_not_handed_out(self, make):
        log, again = make(PARTITIONS)
        await log.append_commands(0, [record(n) for n in range(600)])
        feed = again().feed(0, 0)
        first = await feed.next()
        feed.finish(max(first.behind, 300))
        behind = first.behind
        while (given := await feed.next()).values:
            behind = given.behind

        assert behind == max(first.behind, 300)
        feed.close()
        await log.close()

    async def test_a_feed_that_is_stopped_ends(self, make):
        log, again = make(PARTITIONS)
        feed = again().feed(1, 0)
        waiting = asyncio.ensure_future(feed.next())
        await asyncio.sleep(0)
        feed.stop()

        assert (await waiting).values == []
        feed.close()
        await log.close()

    async def test_who_takes_a_partition_over_finds_the_last_checkpoint_and_what_stands_behind_it(self, make):
        log, again = make(PARTITIONS)
        writer = log.writer(0)
        await writer.commit({SYNDROME: [event(0)]}, Checkpoint(b"first", {"h": b"1"}))
        await writer.commit(
            {SYNDROME: [event(1)], OUTCOME: [event(0)]}, Checkpoint(b"last", {"h": b"2", "i": b""})
        )
        await writer.commit({SYNDROME: events(2, 4)})
        await writer.commit({CPER: [event(0, 5)]})
        await writer.close()
        heir = again().writer(0)
        standing = heir.take_over()
        behind = {topic: [entry.value for entry in entries] for topic, entries in standing.behind.items()}
        await heir.commit({SYNDROME: [event(4)]})
        await heir.close()

        assert standing.checkpoint == Checkpoint(b"last", {"h": b"2", "i": b""})
        found = {SYNDROME: [event(2).value, event(3).value], CPER: [event(0, 5).value]}
        assert behind == found | {OUTCOME: [], DEAD_LETTER: []}
        assert [entry.offset for entry in read(again(), SYNDROME)] == list(range(5))

    async def test_who_takes_over_without_a_checkpoint_finds_everything(self, make):
        log, again = make(PARTITIONS)
        writer = log.writer(0)
        await writer.commit({SYNDROME: [event(0)]})
        await writer.close()
        heir = again().writer(0)
        standing = heir.take_over()

        assert standing.checkpoint is None
        assert [entry.value for entry in standing.behind[SYNDROME]] == [event(0).value]
        await heir.close()

    @pytest.mark.parametrize(
        ("refused", "start"), [([], 3), ([b"2"], 2), ([b"1", b"2"], 1), ([b"0", b"1", b"2"], 0)]
    )
    async def test_where_checkpoints_are_unusable_those_before_them_count_or_none(self, make, refused, start):
        log, again = make(PARTITIONS)
        writer = log.writer(0)
        for n in range(3):
            await writer.commit({SYNDROME: [event(n)]}, Checkpoint(b"%d" % n, {}))
        await writer.close()
        heir = again().writer(0)
        standing = heir.take_over(lambda found: "from elsewhere" if found.state in refused else "")
        behind = [entry.value for entry in standing.behind[SYNDROME]]
        await heir.commit({SYNDROME: [event(3)]})
        await heir.close()

        assert behind == [event(n).value for n in range(start, 3)]
        assert standing.checkpoint == (Checkpoint(b"%d" % (start - 1), {}) if start else None)
        assert standing.said.count("from elsewhere") == len(refused)

    async def test_a_commit_that_is_cancelled_is_there_wholly_or_not_at_all(self, make):
        log, again = make(PARTITIONS)
        writer = log.writer(0)
        committing = asyncio.ensure_future(
            writer.commit({SYNDROME: [event(n, size=60 * 1024) for n in range(50)], CPER: [event(0)]})
        )
        await asyncio.sleep(0)
        committing.cancel()
        await asyncio.wait({committing})
        await writer.close()

        found = len(read(again(), SYNDROME)), len(read(again(), CPER))
        assert found in {(0, 0), (50, 1)}

    @settings(max_examples=25, suppress_health_check=MANY_LOGS)
    @given(commits=commits)
    def test_any_commits_are_read_as_they_were_made(self, make, commits):
        found, whole = committed(make, commits)

        assert found == whole


def committed(make, commits):
    """What a new log holds after these commits, and what it should."""
    log, again = make(1)
    given, whole = numbered(commits)

    async def write():
        writer = log.writer(0)
        for batches in given:
            await writer.commit(batches)
        await writer.close()

    asyncio.run(write())
    reopened = again()
    found = {topic: read(reopened, topic) for topic in HOST_TOPICS}
    return found, {topic: entries(topic, 0, whole[topic]) for topic in HOST_TOPICS}


class OneWriterContract(LogContract):
    """A log that keeps a second writer of a partition away by itself."""

    async def test_a_second_writer_of_a_partition_is_refused(self, make):
        log, again = make(PARTITIONS)
        writer = log.writer(0)
        await writer.commit({SYNDROME: [event(0)]})

        with pytest.raises(LogError):
            await again().writer(0).commit({SYNDROME: [event(1)]})

        await writer.commit({SYNDROME: [event(1)]})
        await writer.close()
        assert read(again(), SYNDROME) == entries(SYNDROME, 0, events(2))

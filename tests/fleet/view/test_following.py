"""A run is followed while it is written: the same events in the same order as when it is over."""

import asyncio

from fleet.engine.run import Run
from fleet.log.files import FileLog
from fleet.view.following import follow
from nodes.events import COMMAND, HOST_TOPICS
from tests.runs import SMALL, STORM, Cut, manifest_of, plan_of, rasfleet, storm


class Overtaken(Exception):
    """A follower that would wait for ever."""


def never():
    raise Overtaken


def followed(log, topics=HOST_TOPICS, host=None, partitions=range(12), pause=never):
    return [(entry[:3], event) for entry, event in follow(log, list(partitions), list(topics), host, pause=pause)]


def test_a_run_that_is_over_is_told_whole_in_the_order_of_time(tmp_path):
    _, log = storm(tmp_path / "run")
    found = followed(log)

    assert len(found) == sum(sum(counts) for topic, counts in log.summary().counts.items() if topic != COMMAND)
    times = [event.time_ns for _, event in found]
    assert times == sorted(times)


def test_what_is_followed_while_it_is_written_is_what_stands_there_in_the_end(tmp_path):
    plan = plan_of(STORM, **SMALL)
    log = FileLog.create(tmp_path / "run", manifest_of(plan, **SMALL))
    looks = []

    async def whole():
        run = Run(log, Cut(plan, 100), report=lambda _: looks.append(1))
        for shard in run.shards.values():
            shard.outlet.commit_bytes = 1000
        following = asyncio.to_thread(followed, FileLog.open(log.folder), pause=lambda: None)
        found = asyncio.ensure_future(following)
        await run.run()
        log.finish(run.summary())
        await log.close()
        return await found

    found = asyncio.run(whole())

    assert found == followed(FileLog.open(log.folder))
    assert len(looks) > 4


def test_nothing_is_told_that_something_earlier_may_still_follow(tmp_path):
    _, log = storm(tmp_path / "run")
    whole = followed(log)
    log.unfinish()
    last = log.segments(1, 5)[-1]
    last.write_bytes(last.read_bytes()[: len(last.read_bytes()) // 2])
    told = []
    try:
        for entry, event in follow(log, list(range(12)), list(HOST_TOPICS), None, pause=never):
            told.append((entry[:3], event))
    except Overtaken:
        pass

    assert told == whole[: len(told)]
    assert len(told) < len(whole)


def test_one_host_is_followed_in_its_partition_alone(tmp_path):
    _, log = storm(tmp_path / "run")
    found = followed(log, host="host-0003", partitions=[11])

    assert {event.host for _, event in found} == {"host-0003"}
    assert found == [pair for pair in followed(log) if pair[1].host == "host-0003"]


def test_following_prints_what_tail_prints(tmp_path):
    storm(tmp_path / "run")
    words = ["tail", tmp_path / "run", "--topic", "outcome", "--topic", "command", "--json"]

    assert rasfleet(*words, "--follow").stdout == rasfleet(*words).stdout

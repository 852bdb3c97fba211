"""The commands on a run that brokers keep: the same as on files."""

import asyncio
import json
import secrets

import pytest
from aiokafka.record.memory_records import MemoryRecords

from fleet.log.kafka import kept
from fleet.log.kafka.connection import Brokers, parted, reached
from fleet.log.kafka.group import group_of
from fleet.log.kafka.log import OF_A_RUN
from fleet.log.kafka.names import topic_of
from fleet.log.kafka.topics import SETTINGS
from nodes.events import COMMAND, HOST_TOPICS, OUTCOME
from tests.fleet.kafka.conftest import There
from tests.kafka.kcat import produced
from tests.runs import SMALL, rasfleet


@pytest.fixture(scope="module")
def copied(there, small):
    """The small storm, copied from files."""
    name = f"copied-{secrets.token_hex(6)}"
    done = on_broker(there, "log", "copy", small[0], f"kafka:{name}")
    assert done.returncode == 0, done.stderr
    return name


def on_broker(there, *words):
    return rasfleet(*words, "--kafka", there.servers)


def test_a_copy_to_kafka_holds_what_the_files_hold(there, copied, small):
    assert there.held(copied) == small[1:]


def test_a_copy_back_to_files_is_whole(there, copied, small, tmp_path):
    done = on_broker(there, "log", "copy", f"kafka:{copied}", tmp_path / "back")
    checked = rasfleet("log", "verify", tmp_path / "back", "--json")

    assert done.returncode == checked.returncode == 0, done.stderr
    assert json.loads(checked.stdout)["digest"] == small[1].digest


def test_a_copy_of_a_run_that_was_cut_off_can_be_carried_on(there, fresh, small, tmp_path):
    _, log = there.begun(fresh, **SMALL)
    asyncio.run(log.close())
    on_broker(there, "log", "copy", f"kafka:{fresh}", tmp_path / "back")
    done = rasfleet("resume", tmp_path / "back", "--json")

    assert json.loads(done.stdout)["digest"] == small[1].digest


@pytest.mark.parametrize("more", [[], ["--follow"], ["--topic=dead-letter"]], ids=str)
def test_a_host_that_is_none_is_not_looked_for(there, copied, more):
    done = on_broker(there, "tail", copied, "--host=host-0033", *more)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f'rasfleet: no host "host-0033" in run {copied}; did you mean "host-0003"?\n'


def test_a_run_that_is_not_there_is_not_removed(there, copied, fresh):
    done = on_broker(there, "topics", fresh, "--delete", "--yes")

    assert done.returncode == 2
    assert done.stderr == f"rasfleet: run {fresh}: there is none of this name\n"


def test_a_name_that_is_taken_says_how_that_run_goes_on(there, copied, small, scenario):
    done = on_broker(there, "run", scenario, "--name", copied)
    copy = on_broker(there, "log", "copy", small[0], f"kafka:{copied}")

    assert (done.returncode, copy.returncode, done.stderr.count("\n")) == (2, 2, 1)
    assert f"go on with it (rasfleet resume {copied}), choose another name" in done.stderr


def test_a_run_without_a_name_is_refused(there, scenario):
    done = on_broker(there, "run", scenario, "--name", "")

    assert done.returncode == 2
    assert done.stderr.startswith("rasfleet: run name '': small letters")


@pytest.mark.parametrize(
    "words",
    [["log", "verify"], ["verify"], ["tail", "--json"], ["tail", "--follow"], ["state", "--host=host-0003"]],
)
def test_a_command_says_of_a_run_on_kafka_what_it_says_of_files(there, copied, small, words):
    there_said = on_broker(there, *words, copied)
    said = rasfleet(*words, small[0])

    assert there_said.returncode == 0, there_said.stderr
    assert there_said.stdout.splitlines() == [line for line in said.stdout.splitlines() if line[:6] != "frames"]


def test_a_copy_of_a_run_among_whose_events_something_else_stands_is_whole(there, fresh, small, tmp_path):
    on_broker(there, "log", "copy", small[0], f"kafka:{fresh}")
    produced(there.servers, f"{fresh}.{OUTCOME}", "host-0001", b"no event", tmp_path)
    checked, followed = on_broker(there, "log", "verify", fresh), on_broker(there, "tail", fresh)
    copied = on_broker(there, "log", "copy", f"kafka:{fresh}", tmp_path / "copy")

    assert (checked.returncode, followed.returncode, copied.returncode) == (4, 4, 0)
    assert f"{fresh}.{OUTCOME}, partition " in checked.stdout
    assert "rasfleet log copy passes over it" in followed.stderr
    assert copied.stderr.count("passed over") == 1
    assert rasfleet("log", "verify", tmp_path / "copy").returncode == 0


def test_the_environment_names_the_brokers(there, copied, small):
    done = rasfleet("info", copied, "--json", RASFLEET_KAFKA=there.servers)

    assert json.loads(done.stdout)["digest"] == small[1].digest


def test_a_fault_that_is_sent_to_a_run_that_is_over_is_taken_when_it_is_resumed(there, fresh, small, tmp_path):
    on_broker(there, "log", "copy", small[0], f"kafka:{fresh}")
    sent = on_broker(there, "inject", fresh, "memory-uer", "--host", "host-0003", "--count", 2)
    done = on_broker(there, "resume", fresh, "--workers", 1, "--json")
    checked = on_broker(there, "log", "verify", fresh)

    assert sent.returncode == 0, sent.stderr
    assert json.loads(done.stdout)["faults"] == small[1].faults + 2
    assert checked.returncode == 0, checked.stdout


def test_a_fault_needs_no_run_where_one_alone_is_not_over(broker, fresh, small):
    there, words = There(broker.bootstrap), ["inject", "memory-uer", "--host=host-0003"]
    for other in kept.runs(Brokers(there.servers)):
        kept.delete(Brokers(there.servers), other.run)
    nobody = on_broker(there, *words)
    on_broker(there, "log", "copy", small[0], f"kafka:{fresh}-over")
    for name in (f"{fresh}-1", f"{fresh}-2"):
        asyncio.run(there.begun(name, **SMALL)[1].close())
        last = on_broker(there, *words)
        if name.endswith("1"):
            one = last

    assert (nobody.returncode, last.returncode, one.returncode) == (2, 2, 0), one.stderr
    assert "not over: none; say" in nobody.stderr
    assert f"not over: {fresh}-1, {fresh}-2; say" in last.stderr
    assert f"rasfleet resume {fresh}-1 --kafka" in one.stderr


def test_a_run_and_its_topics_are_listed_until_they_are_removed(there, fresh, small):
    _, log = there.begun(fresh, **SMALL)
    asyncio.run(log.close())
    topics = {of["name"]: of for of in json.loads(on_broker(there, "topics", fresh, "--json").stdout)}
    kept = on_broker(there, "topics", fresh, "--delete")
    removed = on_broker(there, "topics", fresh, "--delete", "--yes")

    assert topics.keys() == {f"{fresh}.{topic}" for topic in OF_A_RUN}
    assert all(SETTINGS[topic].items() <= topics[f"{fresh}.{topic}"]["settings"].items() for topic in OF_A_RUN)
    assert (kept.returncode, removed.returncode) == (2, 0)
    assert fresh not in on_broker(there, "runs").stdout


def test_a_run_that_is_removed_leaves_no_group(there, fresh, small):
    on_broker(there, "log", "copy", small[0], f"kafka:{fresh}")
    on_broker(there, "inject", fresh, "memory-uer", "--host", "host-0003")
    on_broker(there, "resume", fresh, "--workers", 1)
    before = groups(there)
    removed = on_broker(there, "topics", fresh, "--delete", "--yes")

    assert removed.returncode == 0, removed.stderr
    assert group_of(fresh) in before
    assert group_of(fresh) not in groups(there)


LZ4 = 3  # attributes of a record batch


def compressions(broker, run, topic):
    """The compressions of the batches that a broker's files have of a topic."""
    found = set()
    for file in broker.folder.glob(f"data-1/{topic_of(run, topic)}-*/*.log"):
        stored = MemoryRecords(file.read_bytes())
        while stored.has_next():
            found.add(stored.next_batch().compression_type)
    return found


def test_a_run_whose_batches_are_compressed_comes_to_the_same(broker, fresh, small, scenario):
    size = [f"--{name}={value}" for name, value in SMALL.items()]
    words = ["run", scenario, *size, "--kafka", broker.bootstrap, "--name", fresh, "--workers", 1]
    done = rasfleet(*words, RASFLEET_KAFKA_COMPRESSION="lz4")

    assert done.returncode == 0, done.stderr
    assert [compressions(broker, fresh, topic) for topic in HOST_TOPICS] == [{LZ4}] * 3
    assert compressions(broker, fresh, COMMAND) == {0}  # so that nobody can send one that unpacks to more
    assert There(broker.bootstrap).held(fresh) == small[1:]


def test_a_compression_that_is_not_there_is_one_line(there):
    done = rasfleet("runs", "--kafka", there.servers, RASFLEET_KAFKA_COMPRESSION="gzip")

    assert done.returncode == 2
    assert done.stderr == "rasfleet: RASFLEET_KAFKA_COMPRESSION: one of none, lz4, zstd\n"


def groups(there):
    """The names of all groups."""

    async def asked():
        admin = await reached(Brokers(there.servers))
        try:
            return {name for name, *_ in await admin.list_consumer_groups()}
        finally:
            await parted(admin.close())

    return asyncio.run(asked())


def test_runs_say_how_far_they_are(there, copied, small):
    found = json.loads(on_broker(there, "runs", "--json").stdout)

    assert [of["digest"] for of in found if of["run"] == copied] == [small[1].digest]

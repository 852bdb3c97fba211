"""What a process shows follows the rules for names, says what was said last, and tells who is alive and ready."""

import asyncio
import re
import subprocess
from itertools import pairwise

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fleet.engine.run import Run
from fleet.service.figures import Counted, Facts, Stand, Tally, stand_of, tally_of
from fleet.service.metrics import ALIVE_S, LATELY_S, METRICS, Identity, Meter
from fleet.service.waits import WAITS_S, Waits
from nodes.events import COMMAND, HOST_TOPICS
from tests.memory_log import MemoryLog
from tests.runs import ROOT, SMALL, manifest_of, plan_of
from tests.tools import tool

IDENTITY = Identity("day", "storm", 1, "kafka", "rasfleet-day")
FACTS = Facts(
    Tally(
        10, 7, 40.5, {HOST_TOPICS[0]: 40}, {HOST_TOPICS[1]: 2}, {"corrupt": 1}, {1: 3, 4: 2, len(WAITS_S) - 1: 1}
    ),
    [Stand(3, 100, 5_000_000_000, 512, is_writing=True), Stand(4, 50, 2_500_000_000, 0, is_writing=False)],
    {3: 120, 4: 50, 5: 9},
    restarts=2,
    unready="",
)


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def meter():
    meter = Meter(IDENTITY, now=Clock())
    meter.show(FACTS)
    return meter


def text_of(meter):
    return meter.pages()["/metrics"]({}).body.decode()


def samples(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_was_said_is_shown(meter):
    found = samples(text_of(meter))
    lag = ("rasfleet_consumer_lag_records", ("group", "rasfleet-day"))

    assert found[*lag, ("partition", "3"), ("topic", COMMAND)] == 20
    assert found[*lag, ("partition", "4"), ("topic", COMMAND)] == 0
    assert found["rasfleet_faults_injected_total",] == 7
    assert found["rasfleet_events_published_total", ("topic", HOST_TOPICS[0])] == 40
    assert found["rasfleet_events_skipped_total", ("topic", HOST_TOPICS[1])] == 2
    assert found["rasfleet_dead_letters_total", ("reason", "corrupt"), ("topic", COMMAND)] == 1
    assert found["rasfleet_worker_restarts_total",] == 2
    assert found["rasfleet_producer_queue_commits",] == 1
    assert found["rasfleet_producer_queue_bytes",] == 512
    assert found["rasfleet_virtual_time_seconds",] == 2.5


def test_commits_are_counted_by_how_long_they_took(meter):
    found = samples(text_of(meter))
    bucket = "rasfleet_publish_duration_seconds_bucket"

    assert [found[bucket, ("le", bound)] for bound in ("0.005", "0.01", "0.1", "10.0", "+Inf")] == [0, 3, 5, 5, 6]
    assert found["rasfleet_publish_duration_seconds_count",] == 6
    assert found["rasfleet_publish_duration_seconds_sum",] == 40.5


def test_a_commit_counts_in_the_shortest_bucket_that_is_enough():
    waits = Waits()
    for seconds in (0.0, 0.005, 0.0051, 10.0, 11.0):
        waits.add(seconds)

    assert waits.counts == {0: 2, 1: 1, len(WAITS_S) - 2: 1, len(WAITS_S) - 1: 1}


def test_time_is_compressed_by_what_the_same_shards_did_lately(meter):
    def ratio_at(now_s, *times_s):
        meter._now.now_s = now_s
        stands = [
            Stand(place, 0, time_s * 1_000_000_000, 0, is_writing=False) for place, time_s in enumerate(times_s)
        ]
        meter.show(FACTS._replace(stands=stands))
        return samples(text_of(meter)).get(("rasfleet_time_compression_ratio",))

    assert ratio_at(1, 100, 50) is None
    assert ratio_at(3, 100, 170) == 25  # the one behind went from 50 to 100
    assert ratio_at(3 + LATELY_S, 400, 400) == 30
    assert ratio_at(20, 9) is None  # others


def test_every_counter_is_there_before_anything_is_counted():
    found = samples(text_of(Meter(IDENTITY)))

    assert {name for name, *_ in found if name.startswith("rasfleet") and name.endswith("_total")} == {
        f"{name}_total" for name, shown in METRICS.items() if "Counter" in shown.kind.__name__
    }


def test_promtool_has_nothing_to_say(meter):
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=text_of(meter), capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_those_who_ask_for_openmetrics_get_it(meter):
    page = meter.pages()["/metrics"]({"accept": "application/openmetrics-text; version=1.0.0"})

    assert page.kind.startswith("application/openmetrics-text")
    assert page.body.endswith(b"# EOF\n")


def test_a_loop_that_says_nothing_is_stuck(meter):
    pages = meter.pages()
    alive = pages["/healthz"]({}).status, pages["/readyz"]({}).status
    meter._now.now_s = ALIVE_S + 1

    assert alive == (200, 200)
    assert (pages["/healthz"]({}).status, pages["/readyz"]({}).status) == (503, 503)


def test_one_that_is_not_ready_lives_and_says_why(meter):
    meter.show(FACTS._replace(unready="draining"))
    pages = meter.pages()

    assert pages["/healthz"]({}).status == 200
    assert pages["/readyz"]({})[::2] == (503, b"draining\n")


def test_every_metric_is_told_of():
    told = set(re.findall(r"`(rasfleet_\w+)`", (ROOT / "deploy/README.md").read_text()))

    assert told == {
        f"{name}_total" if "Counter" in shown.kind.__name__ else name for name, shown in METRICS.items()
    }


def test_counts_only_go_up_whatever_shards_come_and_go():
    seen = []
    counted = Counted()
    whole = MemoryLog(manifest_of(plan_of(**SMALL), **SMALL))

    def carried_out(until):
        run = Run(MemoryLog(whole.manifest, whole), plan_of(**SMALL), report=look)
        for shard in run.shards.values():
            counted.begin(shard)
            stop_at.append(until)
        runs.append(run)
        asyncio.run(run.run())
        for shard in run.shards.values():
            counted.end(shard)
        seen.append(counted.tally())
        return run

    def look(progress):
        seen.append(counted.tally())
        if progress.commands >= stop_at[-1]:
            runs[-1].stop()

    stop_at, runs = [], []
    carried_out(300)
    last = carried_out(1 << 40)

    assert all(a.commands <= b.commands and a.faults <= b.faults for a, b in pairwise(seen))
    assert seen[-1].faults == 800
    assert seen[-1].events == tally_sum(last)
    assert sum(seen[-1].waits.values()) > 1
    assert stand_of(last.shards[0]).waiting_bytes == 0


def tally_sum(run):
    whole = Tally()
    for shard in run.shards.values():
        whole = whole.plus(tally_of(shard))
    return {topic: count + whole.skipped.get(topic, 0) for topic, count in whole.events.items()}

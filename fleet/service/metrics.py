"""What a process shows of itself to a monitoring system: metrics, and whether it is alive and ready.

The process's loop says now and then how it stands; a thread answers those who ask, from what was said last. So a
question costs the run nothing, and a loop that no longer says anything is seen not to live.

Sources: ``conventions`` 1 (names); prometheus.io, "Metric and label naming" and "Writing exporters"; Kubernetes,
"Configure Liveness, Readiness and Startup Probes".
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from itertools import accumulate
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

from fleet import __version__
from fleet.manifest import BEHAVIOUR, Manifest
from fleet.service.figures import Facts, Tally
from fleet.service.serving import TEXT, Address, Page, Server
from fleet.service.waits import WAITS_S
from nodes.events import COMMAND, HOST_TOPICS, Why
from nodes.stack.machine import NS_PER_S

ALIVE_S: Final = 30.0  # without a word from the loop; then the process counts as stuck
LATELY_S: Final = 10.0  # over which the compression of time is taken
REASONS: Final = tuple(why.name.lower() for why in Why)


class Identity(NamedTuple):
    """Which run a process works on."""

    run: str
    scenario: str
    seed: int
    transport: str  # file, kafka
    group: str = ""  # of workers on Kafka


Sample = tuple[tuple[str, ...], Any]  # values of the labels, value; of a histogram its buckets, sum
_Samples = Callable[[Identity, Facts], Iterable[Sample]]


class Shown(NamedTuple):
    """One metric."""

    kind: type[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]
    help: str
    labels: tuple[str, ...]
    samples: _Samples


def _one(value: Callable[[Facts], float]) -> _Samples:
    return lambda _, facts: [((), value(facts))]


def _of_topics(counts: Callable[[Tally], dict[str, int]]) -> _Samples:
    def samples(_: Identity, facts: Facts) -> Iterable[Sample]:
        found = dict.fromkeys(HOST_TOPICS, 0) | counts(facts.tally)
        return [((topic,), count) for topic, count in found.items()]

    return samples


def _lag(identity: Identity, facts: Facts) -> Iterator[Sample]:
    for stand in facts.stands:
        if stand.partition in facts.ends:
            place = identity.group, COMMAND, str(stand.partition)
            yield place, max(0, facts.ends[stand.partition] - stand.offset)


def _waits(_: Identity, facts: Facts) -> Iterable[Sample]:
    counts = accumulate(facts.tally.waits.get(place, 0) for place in range(len(WAITS_S)))
    bounds = map(floatToGoString, WAITS_S)
    return [((), (list(zip(bounds, counts, strict=True)), facts.tally.waited_s))]


def _letters(_: Identity, facts: Facts) -> Iterable[Sample]:
    return [((COMMAND, reason), count) for reason, count in (dict.fromkeys(REASONS, 0) | facts.tally.dead).items()]


def _virtual(_: Identity, facts: Facts) -> Iterable[Sample]:
    return [((), _least_ns(facts) / NS_PER_S)] if facts.stands else []


def _least_ns(facts: Facts) -> int:
    return min(stand.time_ns for stand in facts.stands)


def _compression(_: Identity, facts: Facts) -> Iterable[Sample]:
    return [] if facts.compression is None else [((), facts.compression)]


_COUNTER, _GAUGE, _HISTOGRAM = CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
METRICS: Final = {  # name, of a counter without its _total -> what it is
    "rasfleet_build_info": Shown(
        _GAUGE,
        "1; the program's version, and its behaviour number: what decides the bytes of a run.",
        ("version", "behaviour"),
        lambda *_: [((__version__, str(BEHAVIOUR)), 1)],
    ),
    "rasfleet_run_info": Shown(
        _GAUGE,
        "1; the run that this process works on.",
        ("run_id", "seed", "scenario", "transport"),
        lambda of, _: [((of.run, str(of.seed), of.scenario, of.transport), 1)],
    ),
    "rasfleet_consumer_lag_records": Shown(
        _GAUGE, "Commands that are in the log and not handled.", ("group", "topic", "partition"), _lag
    ),
    "rasfleet_commands_handled": Shown(
        _COUNTER, "Commands that were handled, the clock's included.", (), _one(lambda facts: facts.tally.commands)
    ),
    "rasfleet_faults_injected": Shown(
        _COUNTER, "Faults that were injected into hosts.", (), _one(lambda facts: facts.tally.faults)
    ),
    "rasfleet_events_published": Shown(
        _COUNTER, "Events that were published to a topic.", ("topic",), _of_topics(lambda tally: tally.events)
    ),
    "rasfleet_events_skipped": Shown(
        _COUNTER,
        "Events that came again while resuming: compared with the log, not written.",
        ("topic",),
        _of_topics(lambda tally: tally.skipped),
    ),
    "rasfleet_producer_queue_commits": Shown(
        _GAUGE,
        "Commits that wait for their acknowledgement.",
        (),
        _one(lambda facts: sum(stand.is_writing for stand in facts.stands)),
    ),
    "rasfleet_producer_queue_bytes": Shown(
        _GAUGE,
        "Events that are published and not acknowledged.",
        (),
        _one(lambda facts: sum(stand.waiting_bytes for stand in facts.stands)),
    ),
    "rasfleet_publish_duration_seconds": Shown(
        _HISTOGRAM, "Real time until the log had acknowledged what was published together.", (), _waits
    ),
    "rasfleet_worker_restarts": Shown(
        _COUNTER, "Workers that died and were started again.", (), _one(lambda facts: facts.restarts)
    ),
    "rasfleet_group_rebalances": Shown(
        _COUNTER, "How often the partitions were left to the group.", (), _one(lambda facts: facts.rebalances)
    ),
    "rasfleet_dead_letters": Shown(
        _COUNTER, "Commands that could not be handled, by the topic they came from.", ("topic", "reason"), _letters
    ),
    "rasfleet_virtual_time_seconds": Shown(
        _GAUGE, "Virtual time of the shard that is furthest behind.", (), _virtual
    ),
    "rasfleet_time_compression_ratio": Shown(
        _GAUGE, f"Virtual seconds that went by in a real one, over the last {LATELY_S:.0f} s.", (), _compression
    ),
}


class Meter:
    """What a process's loop said last. ``now``: real time in seconds, going up."""

    def __init__(self, identity: Identity, *, now: Callable[[], float] = time.monotonic) -> None:
        self.identity = identity
        self._now = now
        self._said = now(), Facts()
        self._times: deque[tuple[float, int]] = deque()  # real time in s, virtual in ns, of the same shards
        self._timed: list[int] = []  # their partitions
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector):
            collector(registry=self._registry)
        self._registry.register(self)

    def show(self, facts: Facts) -> None:
        """The loop goes on, and this is how it stands."""
        now_s = self._now()
        self._said = now_s, facts._replace(compression=self._compression(now_s, facts))

    def _compression(self, now_s: float, facts: Facts) -> float | None:
        """Virtual seconds in a real one, while the same shards are at work."""
        timed = [stand.partition for stand in facts.stands]
        if timed != self._timed:
            self._timed = timed
            self._times.clear()
        if not timed:
            return None
        self._times.append((now_s, _least_ns(facts)))
        while now_s - self._times[0][0] > LATELY_S:
            self._times.popleft()
        (first_s, first_ns), (last_s, last_ns) = self._times[0], self._times[-1]
        return (last_ns - first_ns) / NS_PER_S / (last_s - first_s) if last_s > first_s else None

    def collect(self) -> Iterator[Metric]:
        """The metrics, for prometheus_client."""
        facts = self._said[1]
        for name, shown in METRICS.items():
            family = shown.kind(name, shown.help, labels=shown.labels)
            for labels, value in shown.samples(self.identity, facts):
                family.add_metric(labels, *(value if shown.kind is _HISTOGRAM else (value,)))
            yield family

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked for when it registers."""
        return ()

    def pages(self) -> Mapping[str, Callable[[Mapping[str, str]], Page]]:
        """What is answered under each path."""
        return {"/metrics": self._metrics, "/healthz": self._healthz, "/readyz": self._readyz}

    def _metrics(self, fields: Mapping[str, str]) -> Page:
        encode, kind = choose_encoder(fields.get("accept", ""))
        return Page(HTTPStatus.OK, kind, encode(self._registry))

    def _stuck(self) -> str:
        silent_s = self._now() - self._said[0]
        return f"no word from the loop for {silent_s:.0f} s" if silent_s > ALIVE_S else ""

    def _healthz(self, _: Mapping[str, str]) -> Page:
        return _state(self._stuck())

    def _readyz(self, _: Mapping[str, str]) -> Page:
        return _state(self._stuck() or self._said[1].unready)


def _state(wrong: str) -> Page:
    status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
    return Page(status, TEXT, f"{wrong or 'ok'}\n".encode())


def identity_of(manifest: Manifest, run: str, group: str = "") -> Identity:
    """What a run's metrics say of it; on Kafka its workers have a group."""
    return Identity(run, manifest.name, manifest.seed, "kafka" if group else "file", group)


@contextmanager
def shown_at(address: Address, identity: Identity, say: Callable[[str], None]) -> Iterator[Meter]:
    """What a process shows, for as long as it works. Raises OSError where that address cannot be had."""
    meter = Meter(identity)
    server = Server(address, meter.pages())
    say(f"metrics at http://{server.address}/metrics")
    try:
        yield meter
    finally:
        server.close()

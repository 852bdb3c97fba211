"""A worker on Kafka as those see it who watch it: a real Prometheus, and probes."""

import json
import os
import signal
import socket
import subprocess
import time
from http.client import HTTPConnection
from urllib.parse import quote

import pytest

from fleet.engine.carried import only_command
from tests.fleet.kafka.conftest import There
from tests.runs import SMALL
from tests.tools import tool

WAIT_S = 60.0  # until something must be so


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def page(port, path):
    """Status and text; 0 while nobody answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def until(found, ask):
    """What is asked, once it is as wanted."""
    end_s = time.monotonic() + WAIT_S
    while not found(answer := ask()):
        assert time.monotonic() < end_s, answer
        time.sleep(0.1)
    return answer


@pytest.fixture
def waiting(there, fresh):
    """A worker that has gone through a storm whose end nobody has said: it stays. Its port, its process."""
    plan, log = there.begun(fresh, **SMALL)
    log.say_end = lambda offsets: None
    only_command(log, plan)
    port = free_port()
    process = there.worker(fresh, "--metrics", str(port))
    yield port, process
    process.kill()
    process.communicate()


@pytest.fixture
def prometheus(tmp_path):
    """Starts Prometheus with a port to look at; its API's port."""
    started = []

    def start(target):
        config = tmp_path / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 250ms}\n"
            f'scrape_configs: [{{job_name: rasfleet, static_configs: [{{targets: ["127.0.0.1:{target}"]}}]}}]\n'
        )
        port = free_port()
        words = [
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        started.append(subprocess.Popen([tool("prometheus"), *words], stderr=subprocess.DEVNULL))
        return port

    yield start
    for process in started:
        process.kill()
        process.wait()


def asked(port, query):
    """What Prometheus has of it: by partition or topic, or the one value."""
    status, text = page(port, f"/api/v1/query?query={quote(query)}")
    if status != 200:
        return {}
    return {
        of["metric"].get("partition", of["metric"].get("topic", "")): float(of["value"][1])
        for of in json.loads(text)["data"]["result"]
    }


def test_prometheus_sees_a_worker_come_to_the_end_of_what_is_there(waiting, prometheus, small):
    port, _ = waiting
    server = prometheus(port)
    lags = until(
        lambda lags: len(lags) == 4 and not any(lags.values()),
        lambda: asked(server, "rasfleet_consumer_lag_records"),
    )
    published = until(
        lambda found: sum(found.values()) == sum(small[1].events.values()),
        lambda: asked(server, "rasfleet_events_published_total"),
    )

    assert sorted(map(int, lags)) == list(range(4))
    assert published == small[1].events
    assert asked(server, "rasfleet_faults_injected_total") == {"": 800}
    assert asked(server, 'up{job="rasfleet"}') == {"": 1}
    assert asked(server, "rasfleet_run_info") == {"": 1}


def test_a_worker_is_ready_once_it_has_joined_and_not_while_it_leaves(waiting):
    port, process = waiting
    said = [until(lambda answer: answer[0], lambda: page(port, "/readyz"))]
    until(lambda answer: answer[0] == 200, lambda: page(port, "/readyz"))
    alive = page(port, "/healthz")
    process.send_signal(signal.SIGTERM)
    said += [until(lambda answer: answer[0] != 200, lambda: page(port, "/readyz"))]
    process.wait(timeout=10)

    assert alive == (200, "ok\n")
    assert said[0][0] == 503
    assert said[-1] in {(503, "draining\n"), (0, "")}
    assert process.returncode == 0


def test_a_worker_whose_broker_is_silent_is_not_ready_and_still_leaves_in_time(broker, fresh, middle):
    alone = There(broker.bootstrap)
    plan, _ = alone.half_written(fresh)
    port = free_port()
    worker = alone.worker(fresh, "--metrics", str(port))
    alone.wait_for_events(fresh)
    until(lambda answer: answer[0] == 200, lambda: page(port, "/readyz"))
    os.kill(broker.pid(1), signal.SIGSTOP)
    silent = until(lambda answer: answer[0] == 503, lambda: page(port, "/readyz"))
    alive = page(port, "/healthz")[0]
    worker.send_signal(signal.SIGTERM)
    time.sleep(2.0)
    os.kill(broker.pid(1), signal.SIGCONT)
    said = worker.communicate(timeout=8)[1]
    only_command(alone.open(fresh), plan)
    heir = alone.worker(fresh)
    heir.communicate(timeout=60)

    assert "no broker has answered for" in silent[1]
    assert (alive, worker.returncode, heir.returncode) == (200, 0, 0), said
    assert alone.held(fresh) == middle

"""The broker's commands, and what is said where it cannot be had."""

import json
import re
import socket
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from deploy.kafka import jars as stored
from deploy.kafka.__main__ import main
from deploy.kafka.cluster import BrokerFailed, Cluster, Layout
from deploy.kafka.jars import HERE, NoKafka
from deploy.kafka.processes import runs, spawn
from deploy.kafka.security import Keys
from deploy.kafka.settings import free_ports, node_settings
from tests.kafka.brokers import missing

COMPOSE = HERE.parent / "compose.yaml"


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without programs and jars."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(stored, "CACHE", tmp_path / "cache")
    return tmp_path


def program(folder, name, script):
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.usefixtures("java")
def test_a_node_is_started_reported_killed_restarted_and_stopped(tmp_path, capsys):
    folder = str(tmp_path / "own")
    assert main(["start", folder, "--port", "0"]) == 0
    address = capsys.readouterr().out.strip()
    try:
        main(["status", folder])
        assert re.match(rf"node 1 {address} pid \d+, \d+ MiB, log \S+/node-1.log\n$", capsys.readouterr().out)
        main(["kill", folder])
        assert main(["status", folder]) == 1
        assert "not running" in capsys.readouterr().out
        assert main(["restart", folder]) == 0
        assert main(["restart", folder]) == 3  # it runs
        assert main(["start", folder]) == main(["status", folder]) == 0
        assert main(["start", folder, "--nodes", "3"]) == 3
    finally:
        assert main(["stop", folder]) == 0
    assert main(["status", folder]) == 1


@pytest.fixture
def laid_out(tmp_path):
    """A cluster of one node that was never started."""
    made = Layout("rx", free_ports(1), free_ports(1), secured=False)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "cluster.json").write_text(json.dumps(asdict(made)))
    return tmp_path / "own", made


def test_a_port_that_is_taken_is_one_line(laid_out, tmp_path, capsys):
    folder, made = laid_out
    for words in ([str(folder)], [str(tmp_path / "new"), f"--port={made.ports[0]}"]):
        with socket.create_server(("127.0.0.1", made.ports[0])):
            assert main(["start", *words]) == 3
        assert capsys.readouterr().err.startswith(f"port {made.ports[0]} is taken: ")
    assert not (tmp_path / "new").exists()


def test_a_cluster_keeps_its_port(laid_out, capsys):
    folder, made = laid_out
    other = free_ports(1)[0]

    assert main(["start", str(folder), "--port", str(other)]) == 3
    assert capsys.readouterr().err == f"{folder} holds a cluster with port {made.ports[0]}: leave out --port\n"


@pytest.mark.parametrize("command", ["kill", "restart"])
def test_a_node_that_is_none_is_told(laid_out, capsys, command):
    assert main([command, str(laid_out[0]), "--node", "7"]) == 3
    assert capsys.readouterr().err == f"no node 7 in {laid_out[0]}: it has 1\n"


@pytest.mark.usefixtures("java")
def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "file").touch()

    assert main(["start", str(tmp_path / "file"), "--port", "0"]) == 3
    assert capsys.readouterr().err == f"{tmp_path}/file: File exists\n"


@pytest.mark.parametrize("port", ["-1", "65534", "http"])
def test_a_port_that_is_none_is_usage(port, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["start", "--port", port])
    assert "0 to 65533" in capsys.readouterr().err


@pytest.mark.usefixtures("java")
def test_a_login_holds_wherever_it_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("made").mkdir()
    keys = Keys(Path("made"))
    keys.make(("worker",))

    assert f'ca = "{tmp_path}/made/trusted.pem"' in keys.login("worker").read_text()


@pytest.mark.usefixtures("java")
def test_a_node_that_does_not_start_says_why(tmp_path):
    cluster = Cluster.formatted(tmp_path / "own")
    settings = tmp_path / "own" / "node-1.properties"
    settings.write_text(settings.read_text().replace("process.roles=broker,controller", "process.roles=chef"))

    with pytest.raises(BrokerFailed, match=r"(?s)node 1 did not start, see .*process.roles"):
        cluster.start()
    assert not cluster.pid(1)


@pytest.mark.parametrize(
    ("programs", "said"),
    [
        ([], "a Kafka broker needs Java 17: no java on the path"),
        (["java"], "the jars of Kafka are fetched with Maven: no mvn on the path"),
        (["java", "mvn"], "Maven could not fetch the jars of Kafka: no network"),
    ],
    ids=str,
)
def test_what_is_missing_is_said_in_one_line(bare, programs, said):
    for name in programs:
        program(bare, name, "echo no network; echo more; exit 1")

    with pytest.raises(NoKafka) as why:
        stored.jars()
    assert str(why.value) == said


def test_jars_are_fetched_once(bare):
    program(bare, "java", "")
    program(bare, "mvn", f'/bin/mkdir -p {bare}/cache/jars-x; for a; do d=${{a#-DoutputDirectory=}}; done; '
            f'/bin/mkdir -p "$d"; echo jar > "$d/kafka_1.jar"; echo once >> {bare}/fetched')  # fmt: skip

    assert stored.jars() == stored.jars()
    assert [path.name for path in stored.jars().iterdir()] == ["kafka_1.jar"]
    assert (bare / "fetched").read_text() == "once\n"


def test_a_required_broker_that_is_missing_is_a_failure(monkeypatch):
    monkeypatch.delenv("RASFLEET_REQUIRE_KAFKA", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"^no java; or name a broker: RASFLEET_KAFKA=host:port$"):
        missing("no java")
    monkeypatch.setenv("RASFLEET_REQUIRE_KAFKA", "1")
    with pytest.raises(pytest.fail.Exception, match=r"^no java"):
        missing("no java")


def test_a_process_is_ours_only_while_it_has_our_word(tmp_path):
    pid = spawn(["sleep", "600"], tmp_path / "log")
    try:
        assert runs(pid, "600")
        assert not runs(pid, "60")
    finally:
        subprocess.run(["kill", "-9", str(pid)], check=True)
        while runs(pid, "600"):
            pass


def test_every_listener_is_on_the_loopback(tmp_path):
    ports = free_ports(6)
    for node in (1, 2, 3):
        settings = node_settings(tmp_path, node, ports[:3], ports[3:])
        addresses = re.findall(r"://([^:,]*):", settings["listeners"] + settings["advertised.listeners"])
        assert set(addresses) == {"127.0.0.1"}


def test_free_ports_differ():
    assert len(set(free_ports(100))) == 100


def test_the_image_is_the_pinned_release_with_the_settings_of_a_node(tmp_path):
    kafka = yaml.safe_load(COMPOSE.read_text())["services"]["kafka"]
    (pinned,) = re.findall(r"<kafka.version>(.*)</kafka.version>", (HERE / "pom.xml").read_text())
    ours = node_settings(tmp_path, 1, [9092], [9093])
    environment = {name[6:].lower().replace("_", "."): str(value) for name, value in kafka["environment"].items()}

    assert kafka["image"] == f"apache/kafka:{pinned}"
    assert kafka["ports"] == ["127.0.0.1:9092:9092"]
    places = {"listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs", "heap.opts"}
    assert environment.keys() - places <= ours.keys()
    assert {name: environment[name] for name in environment.keys() - places} == {
        name: ours[name] for name in environment.keys() - places
    }

"""A login that fails is one line that says what to do, and what is secret is told nowhere, whatever happens."""

import asyncio
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.kafka.security import TOKEN_S, token
from fleet.__main__ import UNREACHABLE, USAGE
from fleet.log.kafka import producer
from fleet.log.kafka.connection import Brokers, Outage, reached
from fleet.log.kafka.names import RUNS
from fleet.log.kafka.producer import Producer
from fleet.log.kafka.security import OF_BROKERS, security_of
from fleet.log.kafka.topics import Place
from fleet.log.protocol import LogError
from tests import cli
from tests.runs import ROOT, STORM

CANARY = "canary-71c0ffee"
NOTHING = dict.fromkeys(("mechanism", "user", "password"), "")


@pytest.fixture
def act(secured, monkeypatch, tmp_path, caplog):
    """Lists the runs as a user whose settings are ``fields``: the command, with all that was logged on the way."""
    caplog.set_level(logging.DEBUG)
    (tmp_path / "token").write_text(CANARY)
    (tmp_path / "token").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))

    def acting(mechanism="SCRAM-SHA-512", servers=secured.cluster.bootstrap, **fields):
        given = {"password": CANARY} | fields
        for name, value in secured.environment("worker", mechanism, **given).items():
            monkeypatch.setenv(name, value.format(here=tmp_path))
        done = cli.rasfleet("runs", "--json", "--kafka", servers)
        return done, caplog.text

    return acting


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"mechanism": "PLAIN"}, UNREACHABLE, "user worker is not let in by PLAIN: check user and password"),
        ({}, UNREACHABLE, "user worker is not let in by SCRAM-SHA-512: check user and password"),
        ({"user": "stranger"}, UNREACHABLE, "user stranger is not let in by SCRAM-SHA-512"),
        (
            {"mechanism": "OAUTHBEARER", "token_file": "{here}/token", "password": "", "user": ""},
            UNREACHABLE,
            "the token is not let in by OAUTHBEARER: it may have expired, or be for other brokers: renew its file",
        ),
        ({"ca": ""}, UNREACHABLE, "the certificate of the broker is not trusted (self-signed certificate)"),
        (NOTHING, UNREACHABLE, "it may want a login (mechanism, or RASFLEET_KAFKA_MECHANISM)"),
        (NOTHING | {"ca": ""}, UNREACHABLE, "it may want TLS (tls, or RASFLEET_KAFKA_TLS=1)"),
        ({"servers": "127.0.0.1:1"}, UNREACHABLE, "127.0.0.1:1: no broker answers"),
        ({"ca": "/no/such"}, USAGE, "ca: /no/such: No such file or directory"),
        ({"tls": "0"}, USAGE, "SCRAM-SHA-512 is not sent over plain text"),
        (
            {"mechanism": "OAUTHBEARER", "token_file": "/no/such", "password": "", "user": ""},
            USAGE,
            "token_file: /no/such: No such file or directory",
        ),
        (NOTHING | {"ca": "", "servers": "192.0.2.1:9092"}, USAGE, "say --plaintext"),
    ],
    ids=str,
)
def test_a_login_that_fails_is_one_line_without_what_is_secret(act, fields, code, said):
    done, logged = act(**fields)

    assert done.code == code, done.err
    assert done.err.startswith("rasfleet: ")
    assert (done.out, done.err.count("\n")) == ("", 1)
    assert said in done.err
    assert CANARY not in done.err + logged


def test_a_login_that_works_tells_its_password_to_nobody(act, secured):
    password = secured.password("worker")
    for mechanism in ("PLAIN", "SCRAM-SHA-512"):
        done, logged = act(mechanism, password=password)

        assert done.code in (0, USAGE)  # it may list runs, once a run was allowed to it
        assert password not in done.out + done.err + logged


def test_a_token_that_has_expired_is_refused_and_told_to_nobody(act, tmp_path):
    old = token("worker", now_s=int(time.time()) - 2 * TOKEN_S)
    (tmp_path / "token").write_text(old)
    done, logged = act("OAUTHBEARER", token_file=tmp_path / "token", password="", user="")

    assert done.code == UNREACHABLE
    assert "the token is not let in by OAUTHBEARER: it may have expired" in done.err
    assert old not in done.err + logged


def test_tls_where_plain_text_is_spoken_is_one_line(act, kafka):
    done, _ = act(servers=kafka)

    assert done.code == UNREACHABLE
    assert done.err == f"rasfleet: {kafka}: no TLS is spoken there: is it the port for plain text?\n"


def test_plain_text_that_is_asked_for_leaves_out_the_login(kafka, monkeypatch):
    monkeypatch.setenv(f"{OF_BROKERS}TLS", "1")
    refused = cli.rasfleet("runs", "--kafka", kafka)
    done = cli.rasfleet("runs", "--kafka", kafka, "--plaintext")

    assert (refused.code, done.code) == (UNREACHABLE, 0)
    assert not os.environ.get(f"{OF_BROKERS}PLAINTEXT"), "it holds for one command"


async def test_plain_text_does_not_go_where_a_broker_on_the_loopback_sends_its_clients(kafka, monkeypatch):
    await (await reached(Brokers(kafka, loopback_only=True))).close()
    monkeypatch.setattr("fleet.log.kafka.security._is_loopback", lambda host: False)

    with pytest.raises(LogError, match="plain text is for brokers on the loopback"):
        await reached(Brokers(kafka, loopback_only=True))
    await (await reached(Brokers(kafka))).close()


async def test_a_login_that_is_taken_back_is_told_while_brokers_are_waited_for(secured, monkeypatch):
    monkeypatch.setattr(producer, "PAUSE_S", producer.PAUSE_MAX_S)
    servers, told = secured.cluster.bootstrap, []
    security = security_of(servers, secured.environment("worker", password=CANARY), say=told.append).client
    sender = Producer(Brokers(servers, security=security), Outage(servers, told.append))
    sending = asyncio.ensure_future(sender.send(Place("", RUNS, 0), [(0, b"a", b"")]))
    while not told:  # noqa: ASYNC110 (it tells a list)
        await asyncio.sleep(0.05)
    sending.cancel()

    reason = "user worker is not let in by SCRAM-SHA-512: check user and password"
    assert told == [f"{servers}: no broker answers ({reason}); waiting for one"]


def test_a_run_with_workers_has_its_login_on_no_command_line_and_in_no_file(secured, fresh, tmp_path, monkeypatch):
    password = secured.password("admin")
    scenario = tmp_path / "storm.toml"
    scenario.write_text(STORM.replace("partitions = 12", "partitions = 2"))
    servers = ["--kafka", secured.cluster.bootstrap]
    sized = ["--hosts=4", "--faults=40", "--workers=1"]
    monkeypatch.setenv("RASFLEET_CONFIG", str(secured.cluster.keys.login("admin")))
    said, lines = watched("run", scenario, *sized, *servers, "--name", fresh, "--json")
    copied = cli.rasfleet("log", "copy", f"kafka:{fresh}", tmp_path / "copy", *servers)
    files = [path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file()]

    assert any("fleet.engine.worker" in line for line in lines), "its worker was seen"
    assert files
    assert password not in said + repr(copied) + "".join(lines)
    assert not any(password.encode() in content for content in files)


def watched(*words):
    """What a command says, and every command line of this machine while it runs."""
    command = [sys.executable, "-m", "fleet", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = set()
    while process.poll() is None:
        time.sleep(0.02)
        lines |= {line for path in Path("/proc").glob("[0-9]*/cmdline") if (line := read(path))}
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said, lines


def read(path):
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:  # it has ended
        return ""

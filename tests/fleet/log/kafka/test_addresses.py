"""A list of brokers is taken as people write it, or refused in one line that repeats no login."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.log.kafka.addresses import addresses
from fleet.log.protocol import LogError
from tests.cli import rasfleet

SECRET = "canary-8b1f"


@pytest.mark.parametrize(
    ("servers", "found"),
    [
        ("127.0.0.1:9092", [("127.0.0.1", 9092)]),
        ("a_b.example:1,c:65535", [("a_b.example", 1), ("c", 65535)]),
        ("[2001:db8::1]:9092,[::1]:9093", [("2001:db8::1", 9092), ("::1", 9093)]),
    ],
)
def test_a_list_has_hosts_with_ports(servers, found):
    assert addresses(servers) == found


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ("", "'': expected host:port"),
        (",", "'': expected host:port"),
        ("a:1,", "'': expected host:port"),
        ("127.0.0.1", "'127.0.0.1': expected host:port"),
        ("127.0.0.1:", "'127.0.0.1:': expected host:port"),
        ("127.0.0.1:-1", "'127.0.0.1:-1': expected host:port"),
        ("127.0.0.1:0", "'127.0.0.1:0': a port is 1 to 65535"),
        ("a:1,127.0.0.1:65536", "'127.0.0.1:65536': a port is 1 to 65535"),
        ("127.0.0.1:99999", "'127.0.0.1:99999': a port is 1 to 65535"),
        ("a:1, b:1", "' b:1': expected host:port"),
        ("::1:9092", "'::1:9092': expected host:port, several with commas between, IPv6 in brackets"),
        ("[::g]:9092", r"'\[::g\]:9092': expected host:port"),
        ("http://127.0.0.1:9092", "'http://127.0.0.1:9092': .*, and no scheme"),
        (f"user:{SECRET}@127.0.0.1:9092", "a login comes from a file or the environment"),
        (f"user:{SECRET},{SECRET}@127.0.0.1:9092", "a login comes from a file or the environment"),
        (f"kafka://user:{SECRET}@127.0.0.1:9092", "a login comes from a file or the environment"),
        ("a\nb:1", r"'a\\nb:1'"),
    ],
)
@pytest.mark.parametrize("words", [["runs"], ["run", "storm"], ["tail", "x"], ["info", "/tmp"]], ids=" ".join)
def test_what_is_no_list_is_one_line_that_says_where_it_stands_and_exit_code_2(servers, said, words):
    with pytest.raises(LogError, match=said):
        addresses(servers)
    done = rasfleet(*words, "--kafka", servers)

    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("rasfleet: --kafka: ")
    assert SECRET not in done.err


@pytest.mark.parametrize("servers", [",", f"user:{SECRET}@127.0.0.1:9092", "127.0.0.1:99999"])
def test_the_environment_is_read_as_strictly(servers, monkeypatch):
    monkeypatch.setenv("RASFLEET_KAFKA", servers)
    done = rasfleet("runs")

    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith("rasfleet: RASFLEET_KAFKA: ")
    assert SECRET not in done.err


@given(st.text(alphabet="a1.:[]@,/- \n\x00é", max_size=30))
@example("[::1%eth0]:1")
@example("a:٣")  # a digit, but none of a port
def test_any_text_is_a_list_or_refused_in_one_line(text):
    try:
        found, said = addresses(text), ""
    except LogError as refused:
        found, said = [], str(refused)

    assert all(host and 1 <= port <= 65_535 for host, port in found)
    assert said.isprintable()
    assert bool(found) != bool(said)

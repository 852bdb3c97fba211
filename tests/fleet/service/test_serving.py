"""The small server answers what it has, and nobody keeps it from it."""

import socket
from http import HTTPStatus
from http.client import HTTPConnection

import pytest

from fleet.service.serving import CONNECTIONS_MAX, HEAD_BYTES_MAX, LOOPBACK, Address, Page, Server, address_of


@pytest.fixture
def server():
    page = Page(HTTPStatus.OK, "text/plain", b"here")
    server = Server(Address(LOOPBACK, 0), {"/here": lambda fields: page})
    yield server
    server.close()


def answer(server, path, method="GET", **fields):
    connection = HTTPConnection(*server.address, timeout=10)
    connection.request(method, path, headers=fields)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def sent(server, octets):
    """What comes back for some bytes."""
    with socket.create_connection(server.address, timeout=10) as connection:
        connection.sendall(octets)
        return connection.makefile("rb").read()


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/here", "GET", 200),
        ("/here?x=1", "GET", 200),
        ("/here", "HEAD", 200),
        ("/there", "GET", 404),
        ("/here", "POST", 405),
    ],
)
def test_a_page_is_answered_where_it_is(server, path, method, status):
    assert answer(server, path, method)[0] == status


def test_a_head_without_an_end_is_refused(server):
    assert sent(server, b"GET /here HTTP/1.1\r\n" + b"a" * HEAD_BYTES_MAX * 2).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("octets", [b"\r\n\r\n", b"\xff\xfe\r\n\r\n", b"GET\r\n\r\n"])
def test_what_is_no_question_is_answered_all_the_same(server, octets):
    assert sent(server, octets)[:12] in {b"HTTP/1.1 404", b"HTTP/1.1 405"}


def test_more_connections_than_a_few_are_closed_and_it_goes_on(server):
    held = [socket.create_connection(server.address, timeout=10) for _ in range(CONNECTIONS_MAX)]
    assert sent(server, b"") == b""
    for connection in held:
        connection.sendall(b"GET /here HTTP/1.1\r\n\r\n")
        assert connection.makefile("rb").read().endswith(b"here")
        connection.close()

    assert answer(server, "/here") == (200, b"here")


def test_an_address_that_is_taken_is_named(server):
    with pytest.raises(OSError, match="Address already in use") as caught:
        Server(server.address, {})

    assert caught.value.filename == f"--metrics {server.address}"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:9464", ("::1", 9464)),
        ("h:0", ("h", 0)),
    ],
)
def test_an_address_is_loopback_unless_one_is_named(text, address):
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", ":", ":9464", "x", "1:2:3", "::1:9464", "65536", "-1", "h:"])
def test_anything_else_is_none(text):
    with pytest.raises(ValueError, match=r"expected a port|stands in brackets"):
        address_of(text)

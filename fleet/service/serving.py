"""A small HTTP server in a thread of its own: a page for each path, and nothing else.

It answers while the rest of the process computes, and has bounds for all that comes from outside: a connection is
one question, whose head is short and comes soon; more connections than a few are closed at once.

Source: RFC 9112 (the request line, and that a connection may be closed behind the answer).
"""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

LOOPBACK: Final = "127.0.0.1"
CONNECTIONS_MAX: Final = 32  # at once; further ones are closed
HEAD_BYTES_MAX: Final = 8192  # of a question; a longer one is refused
EXCHANGE_S: Final = 5.0  # from a connection's beginning to its end
PORT_MAX: Final = 65535
TEXT: Final = "text/plain; charset=utf-8"


class Page(NamedTuple):
    """What is answered."""

    status: HTTPStatus
    kind: str  # Content-Type
    body: bytes


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int  # 0: any that is free

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(text: str) -> Address:
    """``[ADDRESS:]PORT``; loopback where no address is named. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f'"{text}": an IPv6 address stands in brackets: [::1]:9464')
    if not (port.isascii() and port.isdigit() and int(port) <= PORT_MAX) or (colon and not host):
        raise ValueError(f'"{text}": expected a port, or an address and a port: 9464, 10.0.0.5:9464')
    return Address(host or LOOPBACK, int(port))


Pages = Mapping[str, Callable[[Mapping[str, str]], Page]]  # by path; they get the question's fields


class Server:
    """Answers questions until it is closed. Raises OSError, with what was asked for as its file's name."""

    def __init__(self, address: Address, pages: Pages) -> None:
        self._pages = pages
        self._open = 0
        self._loop = asyncio.new_event_loop()
        try:
            listening = asyncio.start_server(self._serve, address.host, address.port, limit=HEAD_BYTES_MAX)
            self._server = self._loop.run_until_complete(listening)
        except OSError as fault:
            self._loop.close()
            said = fault.strerror if isinstance(fault, socket.gaierror) else os.strerror(fault.errno or 0)
            raise OSError(fault.errno, said, f"--metrics {address}") from None
        self.address = Address(address.host, self._server.sockets[0].getsockname()[1])
        self._thread = threading.Thread(target=self._loop.run_forever, name="rasfleet-http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= CONNECTIONS_MAX:
                async with asyncio.timeout(EXCHANGE_S):
                    writer.write(await self._answer(reader))
                    await writer.drain()
        except (OSError, EOFError, TimeoutError):
            pass  # whoever asked is gone, or has not asked in time
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError:
            return _answered(_refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), with_body=True)
        line, *lines = head.split("\r\n")
        method, _, rest = line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        fields = {name.strip().lower(): value.strip() for name, _, value in (of.partition(":") for of in lines)}
        if method not in {"GET", "HEAD"}:
            return _answered(_refusal(HTTPStatus.METHOD_NOT_ALLOWED), with_body=True)
        page = self._pages[path](fields) if path in self._pages else _refusal(HTTPStatus.NOT_FOUND)
        return _answered(page, with_body=method == "GET")


def _refusal(status: HTTPStatus) -> Page:
    return Page(status, TEXT, f"{status.phrase}\n".encode())


def _answered(page: Page, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {page.status.value} {page.status.phrase}\r\nContent-Type: {page.kind}\r\n"
        f"Content-Length: {len(page.body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (page.body if with_body else b"")

"""Requests are looked at before a thread reads them."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.errors import ParseException

from logservice import server_headers as headers
from tests.sockets import tcp_pair

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The server's end of a connection and the client's."""
    server, client = tcp_pair()
    with server, client:
        yield server, client


def is_readable(sock: socket.socket, seconds: float = 0) -> bool:
    """Whether the system says that there is something to be read, within some seconds."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


def arrive(ends: Ends, content: bytes) -> None:
    """Send something, and wait until it is there."""
    server, client = ends
    client.sendall(content)
    assert is_readable(server, 5)


def test_what_has_arrived_is_seen_and_stays_to_be_read(ends: Ends) -> None:
    server, _ = ends
    assert headers.look(server) == b""
    arrive(ends, b"GET / HT")
    assert headers.look(server) == headers.look(server) == b"GET / HT"
    assert server.recv(100) == b"GET / HT"


def test_nothing_is_waited_for_from_who_has_hung_up(ends: Ends) -> None:
    server, client = ends
    client.close()
    assert is_readable(server, 5)
    assert headers.look(server) is None
    server.close()
    assert headers.look(server) is None


def test_over_a_unix_socket_anything_is_enough_for_a_thread() -> None:
    server, client = socket.socketpair(socket.AF_UNIX)
    with server, client:
        assert headers.look(server) == b""
        client.sendall(b"G")
        assert headers.look(server) is None


def test_a_socket_is_readable_once_so_many_bytes_have_arrived(ends: Ends) -> None:
    server, client = ends
    arrive(ends, b"GET")
    headers.wait_for(server, 5)
    assert not is_readable(server)
    client.sendall(b" ")
    assert not is_readable(server, 0.1)
    client.sendall(b"/")
    assert is_readable(server, 5)
    headers.wait_for(server, 6)
    assert not is_readable(server)
    headers.wait_for(server, 1)
    assert is_readable(server)


def test_who_hangs_up_is_noticed_whatever_is_waited_for(ends: Ends) -> None:
    server, client = ends
    arrive(ends, b"GET")
    headers.wait_for(server, 4)
    client.close()
    assert is_readable(server, 5)


@pytest.mark.parametrize(
    ("seen", "is_awaited", "are_too_many"),
    [
        (b"", True, False),
        (b"GET / HTTP/1.1\r\n", True, False),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r", True, False),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", False, False),
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n[{", False, False),
        # What follows cannot mend it.
        (b"GET / HTTP/1.1\nHost: x\n\n", False, False),
        (b"GET / HTTP/1.1\r\nHost: x\n", False, False),
        (b"G" * headers.LONGEST_LINE + b"\r", True, False),
        (b"G" * headers.LONGEST_LINE + b"\r\n", True, False),
        (b"G" * (headers.LONGEST_LINE + 2), True, False),
        (b"G" * (headers.LONGEST_LINE + 3), False, False),
        (b"GET /\r\n" + b"x" * (headers.MOST - 8), True, False),
        (b"GET /\r\n" + b"x" * (headers.MOST - 7), False, True),
        (b"GET /\r\n" + b"x" * (headers.MOST - 11) + b"\r\n\r\n", False, False),
    ],
)
def test_headers_are_awaited_until_they_end_or_cannot_be_mended(
    seen: bytes, is_awaited: bool, are_too_many: bool
) -> None:
    assert headers.are_awaited(seen) is is_awaited
    assert headers.are_too_many(seen) is are_too_many


@pytest.mark.parametrize(
    "seen",
    [
        b"G" * (headers.LONGEST_LINE + 3),
        b"G" * (headers.LONGEST_LINE + 2) + b"\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_gunicorn_waits_for_no_more_of_what_gets_a_thread(ends: Ends, seen: bytes) -> None:
    server, client = ends
    config = Config()
    config.set("limit_request_line", headers.LONGEST_LINE)
    assert not headers.are_awaited(seen)
    arrive(ends, seen)
    server.settimeout(5)
    with suppress(ParseException):
        # It would raise TimeoutError.
        assert next(RequestParser(config, server, client.getsockname())).method == "GET"


@pytest.mark.parametrize(
    ("seen", "is_writing"),
    [
        (b"POST /api/log/ HTTP/1.1\r\n", True),
        (b"\r\nPOST /api/log/ HTTP/1.1\r\n", True),
        (b"DELETE /api/log/ HTTP/1.1\r\n", True),
        (b"PUT / HTTP/1.1\r\n", True),
        (b"PATCH / HTTP/1.1\r\n", True),
        (b"GET /api/log/ HTTP/1.1\r\n", False),
        (b"HEAD / HTTP/1.1\r\n", False),
        (b"OPTIONS / HTTP/1.1\r\n", False),
    ],
)
def test_the_method_tells_who_writes(seen: bytes, is_writing: bool) -> None:
    assert headers.is_writing(seen) is is_writing

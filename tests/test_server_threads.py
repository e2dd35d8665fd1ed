"""Threads of a worker that who writes leaves to who reads."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from logservice.server_threads import Writers, writes


@pytest.mark.parametrize(("threads", "most"), [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (16, 12)])
def test_so_many_of_the_threads_are_for_who_writes(threads: int, most: int) -> None:
    begun: list[int] = []
    writers = Writers(begun.append, threads=threads)
    for number in range(20):
        writers.add(number)
    assert begun == list(range(most))


def test_who_waits_gets_the_thread_of_one_that_is_done_in_order() -> None:
    begun: list[str] = []
    writers = Writers(begun.append, threads=3)
    for name in ("a", "b", "c", "d"):
        writers.add(name)
    writers.end("a reader")
    assert begun == ["a", "b"]
    writers.end("b")
    assert begun == ["a", "b", "c"]
    writers.end("a")
    assert begun == ["a", "b", "c", "d"]
    writers.end("c")
    writers.end("d")
    writers.add("a")
    assert begun == ["a", "b", "c", "d", "a"]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection: the server's and the client's."""
    server, client = socket.socketpair()
    with server, client:
        yield server, client


@pytest.mark.parametrize(
    ("arrived", "is_writing"),
    [
        (b"POST /api/log/ HTTP/1.1\r\n", True),
        (b"DELETE /api/log/ HTTP/1.1\r\n", True),
        (b"PUT / HTTP/1.1\r\n", True),
        (b"PATCH / HTTP/1.1\r\n", True),
        (b"GET /api/log/ HTTP/1.1\r\n", False),
        (b"HEAD / HTTP/1.1\r\n", False),
        (b"OPTIONS / HTTP/1.1\r\n", False),
        (b"PO", False),
        (b"\x16\x03\x01\x02\x00", False),
    ],
)
def test_the_method_tells_who_writes_and_stays_to_be_read(
    ends: tuple[socket.socket, socket.socket], arrived: bytes, is_writing: bool
) -> None:
    server, client = ends
    client.sendall(arrived)
    assert writes(server) is is_writing
    assert server.recv(100) == arrived


def test_who_has_said_nothing_or_hung_up_does_not_write(ends: tuple[socket.socket, socket.socket]) -> None:
    server, client = ends
    assert not writes(server)
    client.close()
    assert not writes(server)
    server.close()
    assert not writes(server)

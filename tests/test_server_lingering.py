"""Connections that are over are closed after their clients, and keep nobody waiting meanwhile."""

from __future__ import annotations

import selectors
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace

import pytest

from logservice.server_lingering import Lingering
from tests.sockets import tcp_pair

ANSWER = b"an answer"


class Over:
    """A connection over which all was sent, and what a worker has for it."""

    def __init__(self) -> None:
        self.ours, self.client = tcp_pair()
        self.poller = selectors.DefaultSelector()
        self.closed = 0
        self.lingering = Lingering(self._count)
        self.ours.sendall(ANSWER)

    def _count(self) -> None:
        self.closed += 1

    def end(self) -> None:
        """Do what a worker does with a connection that is over."""
        self.lingering.add(self.ours, self.poller)

    def dispatch(self) -> None:
        """Do what a worker does with what its poller tells."""
        for key, _ in self.poller.select(timeout=5):
            key.data(key.fileobj)

    def is_watched(self) -> bool:
        """Whether what comes over the socket is still read."""
        return bool(self.poller.get_map())

    def is_open(self) -> bool:
        """Whether the socket is open, and was not counted as closed; a closed one is not watched."""
        open_ = self.ours.fileno() != -1
        assert open_ == (self.closed == 0) == (len(self.lingering) == 1)
        assert open_ or not self.is_watched()
        return open_

    def close(self) -> None:
        for one in (self.ours, self.client, self.poller):
            one.close()


@pytest.fixture
def over(monotonic: SimpleNamespace) -> Iterator[Over]:
    with closing(Over()) as found:
        yield found


def test_the_client_is_told_at_once_and_closes_when_it_likes(over: Over) -> None:
    over.end()
    assert over.client.recv(100) == ANSWER
    assert over.client.recv(100) == b""
    assert over.is_open()
    over.client.close()
    over.dispatch()
    assert not over.is_open()
    assert over.closed == 1


def test_a_client_that_was_quicker_is_not_waited_for(over: Over) -> None:
    over.client.shutdown(socket.SHUT_WR)
    over.end()
    assert not over.is_open()
    assert over.closed == 1


def test_an_answer_is_there_though_the_client_sent_more_than_was_read(over: Over) -> None:
    over.client.sendall(b"more that nobody asked for")
    over.end()
    assert over.is_open()
    over.client.sendall(b"and more")
    over.dispatch()
    assert over.is_open()
    over.client.shutdown(socket.SHUT_WR)
    over.dispatch()
    assert not over.is_open()
    # With bytes left unread the system would have reset the connection.
    assert over.client.recv(100) == ANSWER
    assert over.client.recv(100) == b""


def test_who_goes_on_sending_is_not_read_any_more_and_has_time_for_the_answer(
    over: Over, monotonic: SimpleNamespace
) -> None:
    over.end()
    sent = 0
    while over.is_watched() and sent < 1_000_000:
        over.client.sendall(b"x" * 10_000)
        sent += 10_000
        over.dispatch()
    assert 131_072 <= sent <= 145_000
    monotonic.now += 1.9
    over.lingering.close_expired(over.poller)
    assert over.is_open()
    assert over.client.recv(100) == ANSWER
    monotonic.now += 0.1
    over.lingering.close_expired(over.poller)
    assert not over.is_open()


def test_who_had_sent_too_much_before_the_end_is_not_read(over: Over, monotonic: SimpleNamespace) -> None:
    over.ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**19)
    over.client.sendall(b"x" * 200_000)
    over.end()
    assert over.is_open()
    assert not over.is_watched()
    monotonic.now += 2
    over.lingering.close_expired(over.poller)
    assert not over.is_open()


def test_who_resets_the_connection_is_gone(over: Over) -> None:
    over.end()
    over.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    over.client.close()
    over.dispatch()
    assert not over.is_open()


def test_who_does_not_close_is_given_two_seconds(over: Over, monotonic: SimpleNamespace) -> None:
    assert over.lingering.seconds() is None
    over.end()
    assert over.is_watched()
    assert over.lingering.seconds() == pytest.approx(2)
    monotonic.now += 1.9
    over.lingering.close_expired(over.poller)
    assert over.is_open()
    monotonic.now += 0.1
    over.lingering.close_expired(over.poller)
    assert not over.is_open()


def test_a_socket_that_is_closed_already_counts_as_closed(over: Over) -> None:
    over.ours.close()
    over.end()
    assert over.closed == 1
    assert not over.is_open()

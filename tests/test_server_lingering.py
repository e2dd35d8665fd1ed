"""Connections that are over are closed after their clients, and keep nobody waiting meanwhile."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from logservice.server_lingering import Lingering


class Over:
    """A connection that is over, and what a worker has for it."""

    def __init__(self) -> None:
        self.ours, self.client = socket.socketpair()
        self.client.settimeout(5)
        self.poller = selectors.DefaultSelector()
        self.closed = 0
        self.lingering = Lingering(self._count)
        self.lingering.add(self.ours, self.poller)

    def _count(self) -> None:
        self.closed += 1

    def dispatch(self) -> None:
        """Do what a worker does with what its poller tells."""
        for key, _ in self.poller.select(timeout=5):
            key.data(key.fileobj)

    def is_open(self) -> bool:
        """Whether the socket is open, and watched, and was not counted as closed."""
        open_, watched = self.ours.fileno() != -1, bool(self.poller.get_map())
        assert open_ == watched == (self.closed == 0)
        return open_

    def close(self) -> None:
        for one in (self.ours, self.client, self.poller):
            one.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time, as `clock.now`."""
    found = SimpleNamespace(now=time.monotonic())
    monkeypatch.setattr(time, "monotonic", lambda: found.now)
    return found


@pytest.fixture
def over(clock: SimpleNamespace) -> Iterator[Over]:
    found = Over()
    try:
        yield found
    finally:
        found.close()


def test_the_client_is_told_at_once_and_closes_when_it_likes(over: Over) -> None:
    assert over.client.recv(10) == b""
    assert over.is_open()
    over.client.close()
    over.dispatch()
    assert not over.is_open()
    assert over.closed == 1


def test_what_still_comes_is_read_so_that_the_answer_is_not_taken_back(over: Over) -> None:
    over.client.sendall(b"more that nobody asked for")
    over.dispatch()
    assert over.is_open()
    over.client.shutdown(socket.SHUT_WR)
    over.dispatch()
    assert not over.is_open()


def test_who_goes_on_sending_is_cut_off(over: Over) -> None:
    over.client.setblocking(False)
    taken = 0
    while over.is_open():
        taken += over.client.send(b"x" * 10_000)
        over.dispatch()
    assert taken <= 80_000


def test_who_does_not_close_is_given_two_seconds(over: Over, clock: SimpleNamespace) -> None:
    clock.now += 1.9
    over.lingering.close_expired(over.poller)
    assert over.is_open()
    clock.now += 0.1
    over.lingering.close_expired(over.poller)
    assert not over.is_open()


def test_a_client_that_is_gone_already_is_counted(clock: SimpleNamespace) -> None:
    ours, client = socket.socketpair()
    ours.close()
    client.close()
    closed: list[None] = []
    with selectors.DefaultSelector() as poller:
        Lingering(lambda: closed.append(None)).add(ours, poller)
    assert len(closed) == 1

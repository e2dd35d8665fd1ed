"""The worker process: it stops with its master, leaves connections to others, and memory to the system."""

from __future__ import annotations

import errno
import gc
import os
import platform
import re
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from http.client import HTTPResponse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn, ThreadWorker

from logservice.server_threads import Begun, Threads, is_refused, waited_to_begin
from logservice.server_turns import LOOK_EVERY, Turns, end_turn
from logservice.server_worker import Worker
from tests.conftest import MakeApp
from tests.processes import children, eventually
from tests.serving import Service, serving
from tests.sockets import tcp_pair

_ESTABLISHED = "01"
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker of three threads that was not started, and what it waits with."""
    config = Config()
    config.set("threads", 3)
    found = Worker(1, os.getppid(), [], None, 30, config, Logger(config))
    with closing(found.tmp), selectors.DefaultSelector() as found.poller:
        yield found


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_worker_whose_master_is_gone_stops_as_at_a_sigterm(goes_on: bool) -> None:
    config = Config()
    master = os.getppid() if goes_on else os.getpid()
    worker = Worker(1, master, [], None, 30, config, Logger(config))

    with closing(worker.tmp):
        assert worker.is_parent_alive() is goes_on
        assert worker.alive is goes_on


@pytest.mark.parametrize(
    ("processor", "extensions", "are_in_turn"),
    [
        (0, {"logservice": SimpleNamespace(store=SimpleNamespace(computes_here=True))}, True),
        (0, {"logservice": SimpleNamespace(store=SimpleNamespace(computes_here=False))}, False),
        (None, {"logservice": SimpleNamespace(store=SimpleNamespace(computes_here=True))}, False),
        (0, {}, False),
        (0, None, False),
    ],
    ids=["in turn", "a server computes", "on any processor", "no log", "no Flask"],
)
def test_requests_compute_in_turn_on_one_processor_alone(
    worker: Worker, processor: int | None, extensions: dict[str, Any] | None, are_in_turn: bool
) -> None:
    loaded = SimpleNamespace() if extensions is None else SimpleNamespace(extensions=extensions)
    worker.app = SimpleNamespace(wsgi=lambda: loaded)
    worker.processor = processor
    worker.load_wsgi()
    gc.unfreeze()
    assert (worker.turns is not None) is are_in_turn


def test_what_was_loaded_is_not_looked_through_for_garbage() -> None:
    config = Config()
    worker = Worker(1, os.getppid(), [], SimpleNamespace(wsgi=lambda: app), 30, config, Logger(config))
    gc.unfreeze()

    with closing(worker.tmp):
        worker.load_wsgi()
    try:
        assert worker.wsgi is app
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(("workers", "naps"), [(1, []), (2, [0.002] * 100)])
def test_a_worker_leaves_so_many_connections_of_a_second_to_others_and_no_more(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, workers: int, naps: list[float]
) -> None:
    slept: list[float] = []
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=slept.append)
    monkeypatch.setattr("logservice.server_worker.time", clock)
    worker.cfg.set("workers", workers)
    worker.nr_conns = 30

    class Listener:
        def accept(self) -> None:
            raise BlockingIOError(errno.EAGAIN, "another worker was quicker")

    for second in (1, 2):
        for _ in range(300):
            worker.accept(Listener())
        assert slept == naps * second
        now[0] += 1


@pytest.fixture
def begun(worker: Worker) -> list[TConn]:
    """The connections that are given to threads, one after the other."""
    found: list[TConn] = []
    worker.tpool = SimpleNamespace(submit=lambda _handle, conn: found.append(conn) or Future())
    return found


class Client:
    """A client that has connected to a worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        ours, self.socket = tcp_pair()
        self.conn = TConn(worker.cfg, ours, ours.getpeername(), ours.getsockname())
        worker.nr_conns += 1
        worker.enqueue_req(self.conn)

    def say(self, content: bytes) -> None:
        """Send something, and have the worker do what it does then."""
        self.socket.sendall(content)
        self._worker.wait_for_and_dispatch_events(timeout=5)

    def is_connected(self) -> bool:
        """Whether the worker has not closed the connection."""
        return self.conn.sock.fileno() != -1


@pytest.fixture
def connect(worker: Worker) -> Iterator[Callable[[], Client]]:
    """Return a new client."""
    with ExitStack() as stack:

        def connected() -> Client:
            found = Client(worker)
            stack.callback(found.socket.close)
            stack.callback(found.conn.sock.close)
            return found

        yield connected


def test_a_new_connection_gets_a_thread_once_its_headers_are_there(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    client = connect()
    worker.wait_for_and_dispatch_events(timeout=0.1)
    for part in (b"G", b"ET / HTTP/1.1\r\nHost: x\r\n", b"\r"):
        client.say(part)
        # Nobody is woken again for what was seen.
        assert worker.poller.select(0) == []
    assert begun == []
    client.say(b"\n")
    assert begun == [client.conn]
    # Reading waits for nothing but the first byte, and nobody else is woken for the rest.
    assert client.conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
    assert worker.poller.select(0) == []


def test_a_request_that_came_with_its_connection_gets_a_thread_at_once(
    worker: Worker, begun: list[TConn]
) -> None:
    ours, client = tcp_pair()
    with closing(ours), closing(client):
        client.sendall(GET)
        assert select.select([ours], [], [], 5)[0]
        conn = TConn(worker.cfg, ours, None, None)
        worker.enqueue_req(conn)
    assert begun == [conn]


@pytest.mark.parametrize("read_ahead", [b"G", b"GET / HTTP/1.1\r\nHost: x\r\n\r"])
def test_what_was_read_with_the_request_before_gets_no_thread_by_itself(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client], read_ahead: bytes
) -> None:
    client = connect()
    client.say(GET)
    assert client.conn.sock.recv(100) == GET
    client.conn.init()
    client.conn.parser.unreader.unread(read_ahead)
    worker.finish_request(client.conn, answered(keeps=True))
    worker.wait_for_and_dispatch_events(timeout=0.1)
    assert begun == [client.conn]
    client.say(GET[len(read_ahead) :] if read_ahead == b"G" else b"\n")
    assert begun == [client.conn, client.conn]


POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
POST_EVENT = b"POST /api/log/ HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("request_", "is_kept"),
    [
        (GET, True),
        (POST + b"Content-Length: 5\r\n\r\n[1,2]", True),
        (POST + b"Content-Length: 50\r\n\r\n[1,2]", False),
        (POST + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000, True),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[", False),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
    ],
    ids=["no body", "all of it", "a part", "all of much", "a chunk", "all chunks"],
)
def test_a_body_that_nobody_reads_is_not_waited_for(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client], request_: bytes, is_kept: bool
) -> None:
    worker.wsgi = ignoring
    client = connect()
    client.conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**18)
    client.say(request_)
    assert eventually(lambda: len(client.conn.sock.recv(2**18, socket.MSG_PEEK)) == len(request_))
    # Before its client has said any more, in this thread.
    assert worker.handle(client.conn) is is_kept
    answer = client.socket.recv(1000)
    assert answer.startswith(b"HTTP/1.1 204 ")
    # Its client is told, or would lose its next request.
    assert (b"\r\nConnection: %s\r\n" % (b"keep-alive" if is_kept else b"close")) in answer


def test_a_connection_is_closed_as_its_client_was_told_though_the_body_came_meanwhile(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    def streaming(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        yield b"o"
        client.socket.sendall(b"[1,2]")
        assert select.select([client.conn.sock], [], [], 5)[0]
        yield b"k"

    worker.wsgi = streaming
    client = connect()
    client.say(POST + b"Content-Length: 5\r\n\r\n")
    assert worker.handle(client.conn) is False
    assert b"\r\nConnection: close\r\n" in client.socket.recv(1000)


def test_a_body_that_ends_too_early_ends_its_connection(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    def reading(environ: Any, start_response: Any) -> list[bytes]:
        found.append(environ["wsgi.input"].read())
        # Linux hands out what comes after that all the same.
        client.socket.sendall(b"late")
        assert eventually(lambda: client.conn.sock.recv(9, socket.MSG_PEEK) == b"late")
        found.append(environ["wsgi.input"].read())
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []

    found: list[bytes] = []
    worker.wsgi = reading
    client = connect()
    client.say(POST + b"Content-Length: 50\r\n\r\n[1,2]")
    # As the worker does with who is late.
    client.conn.sock.shutdown(socket.SHUT_RD)
    assert worker.handle(client.conn) is False
    assert found == [b"[1,2]", b""]
    assert b"\r\nConnection: close\r\n" in client.socket.recv(1000)


def test_chunks_that_are_none_end_their_connection_however_often_they_are_read(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    def reading(environ: Any, start_response: Any) -> list[bytes]:
        for _ in range(2):
            with suppress(ConnectionResetError):
                environ["wsgi.input"].read()
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []

    worker.wsgi = reading
    client = connect()
    client.say(POST + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n")
    assert worker.handle(client.conn) is False
    assert b"\r\nConnection: close\r\n" in client.socket.recv(1000)


@pytest.mark.parametrize(("body", "is_there"), [(b"[1,2]", True), (b"[1,", False)])
def test_reading_ends_only_for_who_is_late(
    worker: Worker,
    begun: list[TConn],
    connect: Callable[[], Client],
    monotonic: SimpleNamespace,
    body: bytes,
    is_there: bool,
) -> None:
    def slow(environ: Any, start_response: Any) -> list[bytes]:
        monotonic.now += worker.client_timeout + 1
        worker.notify()
        assert environ["wsgi.input"].read() == body
        start_response("204 No Content", [])
        return []

    worker.wsgi = slow
    client = connect()
    client.say(POST + b"Content-Length: 5\r\n\r\n" + body)
    assert worker.handle(client.conn) is is_there
    if is_there:
        worker.finish_request(client.conn, answered(keeps=True))
        # Nor is there an end that the poller would tell.
        assert worker.poller.select(0) == []


def test_a_request_that_is_answered_is_gone(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    worker.wsgi = ignoring
    client = connect()
    client.say(GET)
    gc.disable()
    try:
        assert worker.handle(client.conn) is True
        gone = weakref.ref(client.conn.parser.mesg)
        client.conn.parser.mesg = None
        assert gone() is None
    finally:
        gc.enable()


def ignoring(_environ: Any, start_response: Any) -> list[bytes]:
    """Stands for an application that reads no body."""
    start_response("204 No Content", [])
    return []


def hang_up(client: socket.socket) -> None:
    client.close()


def say_no_more(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def send_urgently(client: socket.socket) -> None:
    """Behind what is urgent nothing can be seen."""
    client.send(b"X", socket.MSG_OOB)
    client.send(b"more")


@pytest.mark.parametrize("leave", [hang_up, say_no_more, reset, send_urgently])
def test_who_leaves_within_the_headers_is_not_waited_for(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client], leave: Callable[[socket.socket], None]
) -> None:
    client = connect()
    client.say(b"GET / HTTP/1.1\r\nHost: x\r\n")
    leave(client.socket)
    # It is readable for as long as it is open: nobody may be asked about it again and again.
    looks = 0
    while worker.poller.select(0.2) and looks < 20:
        worker.wait_for_and_dispatch_events(timeout=0)
        looks += 1
        # One that was reset goes through a thread.
        for conn in begun:
            worker.finish_request(conn, answered())
        begun.clear()
        client.socket.close()
    assert looks < 5
    assert worker.nr_conns == 0
    assert not client.is_connected()


def test_headers_that_are_late_are_not_waited_for_however_much_of_them_comes(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client], monotonic: SimpleNamespace
) -> None:
    client = connect()
    for _ in range(9):
        monotonic.now += 1
        client.say(b"G")
    client.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.socket.recv(1)
    monotonic.now += 1
    worker.wait_for_and_dispatch_events(timeout=0)
    assert client.socket.recv(1) == b""
    assert begun == []


def test_headers_without_an_end_are_refused_before_they_get_a_thread(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    client = connect()
    client.socket.sendall(b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 12_000)
    client.socket.settimeout(0.1)
    answer = b""
    for _ in range(50):
        worker.wait_for_and_dispatch_events(timeout=0.1)
        with suppress(TimeoutError):
            answer = client.socket.recv(100)
            break
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert begun == []


def test_a_worker_that_is_full_closes_what_nothing_has_come_over_for_a_second(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client], monotonic: SimpleNamespace
) -> None:
    worker.worker_connections = 5
    busy, kept, silent, speaking = connect(), connect(), connect(), connect()
    for client in (busy, kept):
        client.say(GET)
    keep(worker, kept)
    monotonic.now += 1
    assert still_open(worker, busy, kept, silent, speaking) == [True] * 4
    # What was said last has arrived, and was not looked at.
    speaking.socket.sendall(b"G")
    assert select.select([speaking.conn.sock], [], [], 5)[0]
    connect()
    worker._make_room()
    assert [one.is_connected() for one in (busy, kept, silent, speaking)] == [True, True, False, True]
    connect()
    assert still_open(worker, busy, kept, speaking) == [True, True, False]
    connect()
    assert still_open(worker, busy, kept) == [True, False]
    assert begun == [busy.conn, kept.conn]


def test_a_full_worker_that_stops_answers_who_is_connected(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client], monotonic: SimpleNamespace
) -> None:
    worker.worker_connections = 2
    silent, kept = connect(), connect()
    kept.say(GET)
    keep(worker, kept)
    monotonic.now += 1.5
    worker.alive = False
    assert still_open(worker, silent, kept) == [True, True]


def keep(worker: Worker, client: Client) -> None:
    """Do what a worker does with a connection whose first request was answered."""
    client.conn.init()
    assert client.conn.sock.recv(100) == GET
    worker.finish_request(client.conn, answered(keeps=True))


def still_open(worker: Worker, *clients: Client) -> list[bool]:
    """Return whose connections a worker keeps once it has looked after them."""
    worker.wait_for_and_dispatch_events(timeout=0)
    return [one.is_connected() for one in clients]


def test_who_writes_leaves_a_thread_to_who_reads(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    first, second, third, reader = (connect() for _ in range(4))
    for client in (first, second, third):
        client.say(POST + b"Content-Length: 0\r\n\r\n")
    reader.say(GET)
    assert begun == [first.conn, second.conn, reader.conn]
    worker.finish_request(second.conn, answered())
    assert begun == [first.conn, second.conn, reader.conn, third.conn]


def handle_in_turn(worker: Worker, client: Client) -> threading.Thread:
    """Have a worker handle a request in a thread, while it is the turn of another; return that thread."""
    turns = worker.turns
    assert turns is not None
    found = threading.Thread(target=worker.handle, args=(client.conn,), daemon=True)
    found.start()
    assert eventually(lambda: turns.waiting == 1)
    return found


def test_a_request_waits_for_its_turn(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    worker.turns = turns = Turns()
    worker.wsgi = ignoring
    client = connect()
    client.say(GET)
    with turns.taken(Begun(writes=True, since=time.monotonic())):
        handling = handle_in_turn(worker, client)
        assert select.select([client.socket], [], [], 0)[0] == []
    handling.join(10)
    assert client.socket.recv(1000).startswith(b"HTTP/1.1 204 ")


def test_who_waits_for_a_turn_begins_beside_who_keeps_it(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    worker.turns = turns = Turns()
    worker.wsgi = ignoring
    first, second = connect(), connect()
    for client in (first, second):
        client.say(GET)
    with turns.taken(Begun(writes=False, since=time.monotonic())):
        handling = handle_in_turn(worker, second)
        # The main thread looks, while nothing comes.
        assert eventually(lambda: worker.wait_for_and_dispatch_events(timeout=1) or not turns.waiting)
        handling.join(10)
        assert second.socket.recv(1000).startswith(b"HTTP/1.1 204 ")


def test_turns_are_looked_at_often_while_somebody_may_wait_for_one(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def waits_for() -> float:
        found: list[float] = []
        with monkeypatch.context() as patch:
            patch.setattr(worker.poller, "select", lambda seconds: found.append(seconds) or [])
            worker.wait_for_and_dispatch_events(timeout=1)
        return found.pop()

    worker.turns = Turns()
    connect().say(GET)
    assert waits_for() == 1
    connect().say(GET)
    # Two have threads, which may not have asked for their turns so far.
    assert [waits_for(), waits_for()] == [LOOK_EVERY, LOOK_EVERY]
    with worker.turns.taken(Begun(writes=True, since=time.monotonic())):
        assert waits_for() == LOOK_EVERY
        end_turn()
        # Now there is but one who can want it.
        assert waits_for() == 1
    worker.turns = None
    assert waits_for() == 1


@pytest.mark.parametrize("body", [b"", b"[1,2]"], ids=["without its body", "with it"])
def test_a_request_whose_body_is_not_there_has_no_turn(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client], body: bytes
) -> None:
    def telling(_environ: Any, start_response: Any) -> list[bytes]:
        found.append(worker.turns.past)
        start_response("204 No Content", [])
        return []

    found: list[int] = []
    worker.turns = Turns()
    worker.wsgi = telling
    client = connect()
    client.say(POST + b"Content-Length: 5\r\n\r\n" + body)
    worker.handle(client.conn)
    assert found == [0 if body else 1]
    assert worker.turns.past == 0


def test_a_worker_that_has_ended_keeps_nobody_waiting_for_a_turn(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def quit_at_once(_worker: Worker) -> None:
        sys.exit(0)

    worker.turns = turns = Turns()
    worker.wsgi = ignoring
    client = connect()
    client.say(GET)
    with turns.taken(Begun(writes=False, since=time.monotonic())):
        handling = handle_in_turn(worker, client)
        monkeypatch.setattr(ThreadWorker, "run", quit_at_once)
        with pytest.raises(SystemExit):
            worker.run()
        handling.join(10)
        assert client.socket.recv(1000).startswith(b"HTTP/1.1 204 ")


def test_a_request_is_told_how_long_it_waited_for_its_turn(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client], monotonic: SimpleNamespace
) -> None:
    def telling(_environ: Any, start_response: Any) -> list[bytes]:
        found.append(waited_to_begin.get())
        return ignoring(_environ, start_response)

    found: list[float] = []
    worker.turns = turns = Turns()
    worker.wsgi = telling
    client = connect()
    client.say(GET)
    with turns.taken(Begun(writes=False, since=monotonic.now)):
        handling = handle_in_turn(worker, client)
        # That is no delay of its client.
        monotonic.now += 100
        worker.notify()
    handling.join(10)
    assert found == [100]
    worker.finish_request(client.conn, answered(keeps=True))
    assert worker.poller.select(0) == []


@pytest.fixture
def refusing(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """A worker that has too many posts, and an application that refuses what it is told to."""
    monkeypatch.setattr(Threads, "are_too_many", lambda _threads, *, writes: writes)
    worker.wsgi, worker.refuses = ignoring, True
    worker.method_queue.init()
    with closing(worker.method_queue):
        worker.poller.register(
            worker.method_queue.fileno(), selectors.EVENT_READ, worker.method_queue.run_callbacks
        )
        yield worker
        worker._refusing.shutdown()


def until_refused(worker: Worker) -> None:
    """Have a worker do what it does until all are refused that are to be."""
    assert eventually(lambda: worker.wait_for_and_dispatch_events(timeout=0.05) or not worker._refused)


def test_who_would_wait_too_long_is_refused_in_no_thread_of_others(
    refusing: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    def noting(environ: Any, start_response: Any) -> list[bytes]:
        noted.append((environ["REQUEST_METHOD"], is_refused.get()))
        return ignoring(environ, start_response)

    noted: list[tuple[str, bool]] = []
    refusing.wsgi = noting
    client = connect()
    # Two at once: the second is there when the first is done.
    client.say(2 * (POST_EVENT + b"Content-Length: 5\r\n\r\n[1,2]"))
    until_refused(refusing)
    assert client.socket.recv(1000).count(b"HTTP/1.1 204 ") == 2
    assert noted == [("POST", True)] * 2
    assert begun == []
    # Its connection is kept, and who reads, or asks nothing of the log, has a thread.
    client.say(GET.replace(b"/healthz", b"/api/log/"))
    assert begun == [client.conn]
    other = connect()
    other.say(POST + b"Content-Length: 0\r\n\r\n")
    assert begun == [client.conn, other.conn]


def test_who_is_refused_in_the_middle_of_a_body_is_hung_up_on(
    refusing: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    client = connect()
    client.say(POST_EVENT + b"Content-Length: 9\r\n\r\n[1,")
    until_refused(refusing)
    assert b"\r\nConnection: close\r\n" in client.socket.recv(1000)
    assert client.socket.recv(1000) == b""
    assert begun == []


def test_no_more_are_refused_than_one_thread_can_do_soon(
    refusing: Worker, begun: list[TConn], connect: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(environ: Any, start_response: Any) -> list[bytes]:
        assert goes_on.wait(10)
        return ignoring(environ, start_response)

    monkeypatch.setattr("logservice.server_worker._MOST_REFUSED", 2)
    goes_on = threading.Event()
    refusing.wsgi = stuck
    first, second, third, fourth = (connect() for _ in range(4))
    for client in (first, second, third):
        client.say(POST_EVENT + b"Content-Length: 0\r\n\r\n")
    assert begun == [third.conn]
    goes_on.set()
    until_refused(refusing)
    for client in (first, second):
        assert client.socket.recv(1000).startswith(b"HTTP/1.1 204 ")
    fourth.say(POST_EVENT + b"Content-Length: 0\r\n\r\n")
    assert fourth.socket.recv(1000).startswith(b"HTTP/1.1 204 ")
    assert begun == [third.conn]


def test_what_waits_for_being_refused_is_known_to_the_log_and_the_figures(
    refusing: Worker, begun: list[TConn], connect: Callable[[], Client], monotonic: SimpleNamespace
) -> None:
    def noting(environ: Any, start_response: Any) -> list[bytes]:
        assert goes_on.wait(10)
        noted.append(waited_to_begin.get())
        return ignoring(environ, start_response)

    noted: list[float] = []
    goes_on = threading.Event()
    refusing.wsgi = noting
    for _ in range(2):
        connect().say(POST_EVENT + b"Content-Length: 0\r\n\r\n")
    monotonic.now += 3
    goes_on.set()
    until_refused(refusing)
    assert noted[1] == 3
    assert waited_to_begin.get() == 0


def test_a_worker_that_stops_refuses_who_waits_for_that(
    refusing: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    def stuck(environ: Any, start_response: Any) -> list[bytes]:
        is_begun.set()
        assert goes_on.wait(10)
        return ignoring(environ, start_response)

    is_begun, goes_on = threading.Event(), threading.Event()
    refusing.wsgi = stuck
    clients = [connect() for _ in range(3)]
    for client in clients:
        client.say(POST_EVENT + b"Content-Length: 0\r\n\r\n")
    assert is_begun.wait(10)
    refusing.alive = False
    goes_on.set()
    until_refused(refusing)
    # Who was begun before it stopped was told otherwise.
    ends = [b"\r\nConnection: close\r\n" in client.socket.recv(1000) for client in clients]
    assert ends == [False, True, True]
    for client in clients[1:]:
        client.socket.close()
    assert eventually(lambda: refusing.wait_for_and_dispatch_events(timeout=0.05) or refusing.nr_conns == 1)


def test_an_application_that_refuses_nothing_is_not_told_to(
    refusing: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    refusing.refuses = False
    client = connect()
    client.say(POST_EVENT + b"Content-Length: 0\r\n\r\n")
    assert begun == [client.conn]


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")
def test_the_service_says_what_is_wrong_when_it_is_told_to_refuse(
    refusing: Worker, begun: list[TConn], connect: Callable[[], Client], make_app: MakeApp
) -> None:
    app = make_app()
    refusing.app = SimpleNamespace(wsgi=lambda: app)
    refusing.load_wsgi()
    gc.unfreeze()
    client = connect()
    client.say(POST_EVENT + b"Content-Length: 5\r\n\r\n[1,2]")
    answer = HTTPResponse(client.socket)
    answer.begin()
    assert (answer.status, answer.getheader("Retry-After")) == (503, "1")
    assert b"too many requests are waiting" in answer.read()
    assert begun == []


def answered(*, keeps: bool = False) -> Future[bool]:
    """Return what gunicorn has of a request that was answered: whether its connection is kept."""
    found: Future[bool] = Future()
    found.set_result(keeps)
    return found


def test_a_worker_that_is_told_twice_to_quit_does_not_wait_for_itself(
    worker: Worker, monotonic: SimpleNamespace
) -> None:
    """A terminal tells the worker and its master, which tells the worker again, at any moment."""
    again: list[None] = []

    def quit_again(_worker: Worker) -> None:
        again.append(worker.handle_quit(signal.SIGQUIT, None))

    # The lock that is taken where threads are given work, and where they are told that there is none.
    worker.tpool = SimpleNamespace(shutdown=lambda **_: pytest.fail("it may hold the lock itself"))
    worker.cfg.set("worker_int", quit_again)
    with pytest.raises(SystemExit):
        worker.handle_quit(signal.SIGINT, None)
    assert again == [None]
    assert not worker.alive
    # Somebody who does not want to wait for what threads are at.
    monotonic.now += 1
    with pytest.raises(SystemExit):
        worker.handle_quit(signal.SIGINT, None)


def test_who_says_nothing_does_not_hold_up_the_end_of_a_worker(
    worker: Worker, connect: Callable[[], Client], monotonic: SimpleNamespace
) -> None:
    client = connect()
    client.socket.settimeout(0.1)
    worker.alive = False
    for seconds in (0, 1.9):
        monotonic.now += seconds
        worker.wait_for_and_dispatch_events(timeout=0)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
    monotonic.now += 0.1
    worker.wait_for_and_dispatch_events(timeout=0)
    assert client.socket.recv(1) == b""


def test_a_connection_that_is_over_counts_until_its_client_has_closed_it(
    worker: Worker, begun: list[TConn], connect: Callable[[], Client]
) -> None:
    client = connect()
    client.say(GET)
    assert begun == [client.conn]
    worker.finish_request(client.conn, answered())
    assert client.socket.recv(10) == b""
    assert worker.nr_conns == 1
    client.socket.close()
    worker.wait_for_and_dispatch_events(timeout=5)
    assert worker.nr_conns == 0
    assert client.conn.sock.fileno() == -1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has malloc_trim")
def test_memory_that_is_free_is_given_back(worker: Worker, monotonic: SimpleNamespace) -> None:
    worker.notify()
    blocks = [b"x" * 100_000 for _ in range(640)]
    full = own_megabytes()
    # The last one stays, and with it the end of the memory.
    del blocks[:-1]
    monotonic.now += 1
    worker.notify()
    before = own_megabytes()
    monotonic.now += 30
    worker.notify()

    assert full - before < 10
    assert full - own_megabytes() > 50
    assert len(blocks) == 1


POOLS = """
import ctypes, sys, threading
from gunicorn.workers.gthread import ThreadWorker
from logservice.server_worker import Worker

if sys.argv[1] == "worker":
    ThreadWorker.init_process = lambda self: None
    Worker.__new__(Worker).init_process()
together = threading.Barrier(12)

def use_memory():
    together.wait()
    held = bytearray(50_000)
    together.wait()

threads = [threading.Thread(target=use_memory) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
out = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fclose(ctypes.c_void_p(out))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
@pytest.mark.parametrize(("process", "pools"), [("worker", {1}), ("any", {*range(2, 17)})])
def test_threads_share_one_pool_of_memory(process: str, pools: set[int]) -> None:
    told = subprocess.check_output([sys.executable, "-c", POOLS, process], text=True, timeout=60)
    # Without a limit there are more.
    assert told.count("<heap nr=") in pools


def own_megabytes() -> float:
    """Return how much memory this process has for itself."""
    [found] = re.findall(r"^RssAnon:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found) / 1000


def app(environ: Any, start_response: Any) -> Any:
    """Stands for an application."""


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells whose connections there are")
def test_workers_share_the_connections_of_a_burst(tmp_path: Path) -> None:
    """Of sixteen, eight each on a quiet machine; of whoever wakes first it would be about four and twelve."""
    with serving(tmp_path, workers=2) as service:
        assert eventually(lambda: all(map(accepts, children(service.process.pid))))
        fewest = [min(burst(service)) for _ in range(10)]
    assert sum(fewest) >= 60, fewest


def burst(service: Service, number: int = 16) -> list[int]:
    """Connect so often at once, and return how many connections each worker took."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", service.port))
        for one in sockets:
            one.settimeout(30)
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        for one in sockets:
            assert one.recv(1000).startswith(b"HTTP/1.1 200 ")
        held = [connections_of(worker, service.port) for worker in children(service.process.pid)]
    assert sum(held) == number
    return held


def accepts(process_id: int) -> bool:
    """Whether a worker waits for connections: it has an epoll of more than its own queue."""
    fdinfo = Path(f"/proc/{process_id}/fdinfo")
    for number, target in open_files(process_id).items():
        with suppress(OSError):
            if "eventpoll" in target and (fdinfo / number).read_text().count("tfd:") > 1:
                return True
    return False


def connections_of(process_id: int, port: int) -> int:
    """Return how many connections to a port of this machine a process has taken."""
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    taken = {
        f"socket:[{inode}]"
        for _, local, _, state, *_, inode in (line[:10] for line in lines)
        if state == _ESTABLISHED and int(local.partition(":")[2], 16) == port
    }
    return sum(target in taken for target in open_files(process_id).values())


def open_files(process_id: int) -> dict[str, str]:
    """Return what each open file of a process is, those left out that close meanwhile."""
    found = {}
    for file in Path(f"/proc/{process_id}/fd").iterdir():
        with suppress(OSError):
            found[file.name] = os.readlink(file)
    return found

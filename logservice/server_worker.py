"""Gunicorn's worker with threads: it ends with its master, and lets no client keep a thread for long.

Gunicorn waits for the rest of a request without end, and a thread that waits serves nobody else: as many
clients as there are threads, each with a byte now and then, would keep everybody out. And once its master was
killed it takes no new connections, but goes on with those that are busy, and so keeps the port for the whole
grace period, in which no other master can start.

All workers wait for connections on the same socket; here a new one goes to a worker that has few. It gets a
thread once the headers of a request are there, and requests that write leave some threads to those that read.
One that would wait for too long is refused at once. Where a worker keeps to one processor, and the database
computes in it too, its requests compute in turn.
A connection that is over is closed once its client has closed it, without a wait that stops all others.

What was loaded is not looked through for garbage again and again: that stops all threads for 50 ms each time.
And memory that is free is given back, of which threads share one pool: each would keep one of its own, as
large as its largest request, and in pieces.

An application that cannot start says why in one line, where gunicorn prints a traceback for each worker.
"""

from __future__ import annotations

import contextlib
import gc
import math
import socket
import struct
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice, takewhile
from typing import Any

from gunicorn.errors import AppImportError
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.workers.gthread import TConn, ThreadWorker

from . import server_bodies as bodies
from . import server_headers as headers
from . import server_memory
from . import server_refusals as refusals
from .errors import LogServiceError
from .server_arrivals import Arrivals, Outcome
from .server_lingering import Lingering
from .server_threads import Threads, is_refused, waited_to_begin
from .server_turns import LOOK_EVERY, Turns, end_turn

#: Seconds for the headers. They come from anybody, and fit into a few packets.
HEADERS = 10
#: Seconds that a worker which stops waits for who has connected, as gunicorn does for kept connections.
_STOP_PATIENCE = 2
#: Seconds that a connection on which nothing happens is left alone while others wait for one.
_ENOUGH = 1
#: How many of those are closed at a time.
_ROOM = 32
#: Seconds within which a terminal and the master tell the same.
_TOLD_TWICE = 0.5
#: Seconds between two workers that cannot start.
_APART = 2
#: Seconds from one time that free memory is given back to the next.
_TRIM_EVERY = 30
#: Seconds that a worker leaves a new connection to others, for each that it has itself, and at most.
_LEAVE, _LEAVE_MOST = 0.0002, 0.002
#: How many connections of a second it leaves to others; when more come they do not stay for long.
_LEFT_A_SECOND = 100
#: How many requests are refused at once, or wait for that, at most; more wait for a thread.
_MOST_REFUSED = 64


class Worker(ThreadWorker):
    """Stops reading from a client whose request is not there in time; then it is as if that had hung up."""

    #: Seconds for a body behind its headers, and for each part of an answer to be taken.
    client_timeout = 60
    #: The one that it keeps to, if it does: server_processors.
    processor: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin without clients."""
        super().__init__(*args, **kwargs)
        #: Until when what a connection sends has to be there, and whether that is a body.
        self._awaited: dict[TConn, tuple[float, bool]] = {}
        #: Connections that are over, but for the client's closing them: they count until then.
        self._lingering = Lingering(self._forget_connection)
        #: Connections whose next request is not there yet.
        self._arrivals = Arrivals(
            Outcome(self._begin, self._refuse_headers, self._hang_up),
            seconds=min(HEADERS, self.client_timeout),
        )
        #: Connections whose requests have a thread or wait for one.
        self._threads: Threads[TConn] = Threads(super().enqueue_req, threads=self.cfg.threads)
        #: Whether the application refuses requests that it is told to.
        self.refuses = False
        #: The thread that does so, and the connections that are there or wait for it.
        self._refusing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="refusing")
        self._refused: set[TConn] = set()
        #: Whose turn it is to compute, where they take turns.
        self.turns: Turns | None = None
        #: How many connections have come so far in which second.
        self._came = 0, 0
        #: When it was told to quit.
        self._quit_at: float | None = None
        #: When free memory is to be given back next.
        self._trim_due = 0.0

    def init_process(self) -> None:
        """Begin to work, in a process of its own, and without threads so far."""
        server_memory.share()
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, or have gunicorn say in one line why it refuses to start, and end."""
        try:
            super().load_wsgi()
        except LogServiceError as error:
            self._let_others_fail()
            raise AppImportError(str(error)) from None
        self.refuses = refusals.are_known_to(self.wsgi)
        if self.refuses:
            # While too much is asked there may be no thread any more.
            self._refusing.submit(bool)
        # With TLS a thread is there before anything is seen: it would wait for its client within its turn.
        if self.processor is not None and not self.cfg.is_ssl and _computes_here(self.wsgi):
            self.turns = Turns()
        # All of it stays for as long as the worker does.
        gc.collect()
        gc.freeze()

    def _let_others_fail(self) -> None:
        """Wait until the first one has told what is wrong with all, and the master ends the others.

        A second one that fails while the master ends would have it fail as well, with a traceback.
        """
        due = time.monotonic() + _APART * ((self.age - 1) % self.cfg.workers)
        while self.alive and time.monotonic() < due:
            time.sleep(0.1)
        if not self.alive:
            sys.exit(0)

    def run(self) -> None:
        """Serve until it is told to stop; what threads are at then is not kept waiting for its turn."""
        try:
            super().run()
        finally:
            if self.turns:
                self.turns.stop()

    def accept(self, *args: Any) -> None:
        """Accept a new connection, unless a worker that has fewer was quicker.

        All wait for the same socket, and clients keep connections: whoever woke first would have a burst of
        them for good, and compute on one processor while the others rest.
        """
        second = int(time.monotonic())
        came = self._came[1] + 1 if self._came[0] == second else 1
        self._came = second, came
        if self.cfg.workers > 1 and came <= _LEFT_A_SECOND:
            # Those that are over are no work.
            time.sleep(min(_LEAVE * (self.nr_conns - len(self._lingering)), _LEAVE_MOST))
        super().accept(*args)

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread once the headers of its request are there."""
        self._arrivals.add(conn, self.poller)

    def _begin(self, conn: TConn, seen: bytes) -> None:
        conn.data_ready = True
        writes = headers.is_writing(seen)
        if self._may_refuse(writes=writes) and refusals.is_quick(seen, conn.sock):
            done = self._refusing.submit(self._refuse, conn, time.monotonic())
            self._refused.add(conn)
            done.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))
        else:
            self._threads.add(conn, writes=writes)

    def _may_refuse(self, *, writes: bool) -> bool:
        is_free = self.refuses and len(self._refused) < _MOST_REFUSED
        return is_free and self._threads.are_too_many(writes=writes)

    def _refuse(self, conn: TConn, since: float) -> Any:
        """Have the application refuse a request, which has waited for that."""
        refused = is_refused.set(True)
        waited = waited_to_begin.set(time.monotonic() - since)
        try:
            return self._answer(conn)
        finally:
            waited_to_begin.reset(waited)
            is_refused.reset(refused)

    def _refuse_headers(self, conn: TConn) -> None:
        self.handle_error(None, conn.sock, conn.client, LimitRequestHeaders("they have no end"))
        self._hang_up(conn)

    def _hang_up(self, conn: TConn) -> None:
        self._lingering.add(conn.sock, self.poller)

    def handle(self, conn: TConn) -> Any:
        """Read and answer one request, in a thread of its own."""
        begun = self._threads.of(conn)
        # What waits for its turn here is not its client's delay; but it is known to who quits.
        self._await(conn, math.inf)
        with self.turns.taken(begun) if self.turns else contextlib.nullcontext():
            waited = waited_to_begin.set(time.monotonic() - begun.since)
            try:
                return self._answer(conn)
            finally:
                waited_to_begin.reset(waited)

    def _answer(self, conn: TConn) -> Any:
        # A client that takes none of its answer: sending fails then, and the thread is free.
        seconds = struct.pack("ll", self.client_timeout, 0)
        try:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
            self._await(conn, min(HEADERS, self.client_timeout))
            return super().handle(conn)
        finally:
            self._awaited.pop(conn, None)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Answer a request whose headers are there; its body is read meanwhile."""
        req.body.reader = bodies.BodyReader(req.body.reader)
        self._await(conn, self.client_timeout, is_body=True)
        if self.turns and not bodies.is_there(conn):
            end_turn()
        req.should_close = partial(bodies.should_close, req, conn)
        try:
            return super().handle_request(req, conn)
        finally:
            # It knows the request, which would stay until garbage is looked for, as one in chunks does.
            del req.should_close

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        """Whether a connection can be used again, once it was rid of a body that nobody has read.

        Gunicorn has a thread wait for the rest of that, as long as a byte comes now and then.
        """
        parser: Any = conn.parser
        if not (keepalive and bodies.is_there(conn)):
            return False
        # All of it is there: nobody waits, however long it is.
        return bool(parser.finish_body(deadline=time.monotonic() + 1, max_bytes=sys.maxsize))

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """Have a connection wait for its next request, or close it once its client has."""
        self._threads.end(conn)
        self._refused.discard(conn)
        is_over = not fs.cancelled() and fs.exception() is None and not fs.result()
        if is_over:
            self._hang_up(conn)
        else:
            super().finish_request(conn, fs)

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        """Wait for clients, but no longer than until one has had its time to close its connection.

        Nor for long while somebody may wait for a turn.
        """
        look_in = LOOK_EVERY if self._is_turn_wanted() else None
        limits = [one for one in (timeout, self._lingering.seconds(), look_in) if one is not None]
        super().wait_for_and_dispatch_events(min(limits, default=None))
        if not self.alive:
            self._arrivals.end_by(time.monotonic() + _STOP_PATIENCE)
        self._arrivals.close_expired(self.poller)
        self._lingering.close_expired(self.poller)
        self._threads.go_on()
        if self.turns:
            self.turns.look()
        if self.alive and self.nr_conns >= self.worker_connections:
            self._make_room()

    def _is_turn_wanted(self) -> bool:
        """Whether one request waits for the turn of another, or may in a moment."""
        return self.turns is not None and self._threads.count - self.turns.past > 1

    def _make_room(self) -> None:
        """Close some connections on which nothing happens, first those that have not asked for anything."""
        for conn in self._arrivals.give_up(self.poller, after=_ENOUGH, most=_ROOM):
            self._forget_connection()
            conn.close()
        if self.nr_conns >= self.worker_connections:
            oldest = time.monotonic() + self.cfg.keepalive - _ENOUGH
            idle = takewhile(lambda conn: _is_idle(conn, oldest), self.keepalived_conns)
            for conn in islice(idle, _ROOM):
                conn.timeout = 0.0
            self.murder_keepalived()

    def notify(self) -> None:
        """Tell gunicorn that this worker lives, as its main thread does at least once a second.

        And see who is late, and give back free memory when that is due.
        """
        super().notify()
        now = time.monotonic()
        if now >= self._trim_due:
            self._trim_due = now + _TRIM_EVERY
            server_memory.trim()
        for conn, (deadline, is_body) in list(self._awaited.items()):
            if now >= deadline:
                self._awaited.pop(conn, None)
                if not (is_body and bodies.is_there(conn)):
                    _stop_reading(conn.sock)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop at once, but for what threads are at; and when it is told again later, without them.

        A terminal tells worker and master, which tells the worker again. Gunicorn's own would each time take
        a lock that this thread may hold already, and wait for itself until it is killed.
        """
        now = time.monotonic()
        if self._quit_at is None:
            self._quit_at = now
            for conn in list(self._awaited):
                _stop_reading(conn.sock)
            super(ThreadWorker, self).handle_quit(sig, frame)
        elif now > self._quit_at + _TOLD_TWICE:
            sys.exit(0)

    def is_parent_alive(self) -> bool:
        """Whether the master is there; without it this worker stops, as it does at a SIGTERM.

        That is two seconds after it has answered what it had begun.
        """
        self.alive = self.alive and super().is_parent_alive()
        return self.alive

    def _forget_connection(self) -> None:
        self.nr_conns -= 1

    def _await(self, conn: TConn, seconds: float, *, is_body: bool = False) -> None:
        self._awaited[conn] = (time.monotonic() + seconds, is_body)


def _computes_here(app: Any) -> bool:
    """Whether an application is a log whose database computes in this process, as SQLite does."""
    state = getattr(app, "extensions", {}).get("logservice")
    return state is not None and bool(state.store.computes_here)


def _is_idle(conn: TConn, latest: float) -> bool:
    """Whether nothing has come over a kept connection, whose time is over by then."""
    return conn.timeout is not None and conn.timeout <= latest and headers.look(conn.sock) == b""


def _stop_reading(sock: socket.socket) -> None:
    """End what is read from a socket; an answer can still be sent."""
    with contextlib.suppress(OSError):
        # That of TLS would end the encryption as well.
        socket.socket.shutdown(sock, socket.SHUT_RD)

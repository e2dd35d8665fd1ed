"""One writing thread per process, and one commit for all who wait.

Requests hand their work to the thread and wait. The thread takes everything that gathered while it waited
for its turn, does work of the same kind together, commits once, and only then lets the requests go: an
acknowledged event is on disk, and sixteen small posts cost one flush, and little more than one insert,
instead of sixteen.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Protocol

from sqlalchemy import Connection

from ..errors import Unavailable
from .jobs import Claim, Item, Job, Result, State, Work
from .observing import Observer

log = logging.getLogger("logservice")

#: More pieces of work than this are left for the next commit, so that the first need not wait for the last.
MOST_PER_COMMIT = 256
#: Long work gives way after each piece until nobody has written for so many seconds: time enough for a client
#: that just got its answer to come back.
QUIET_SECONDS = 0.02


class Writing(Protocol):
    """How an engine is written to."""

    #: Whether `turn` keeps all other writers out, so that nothing changes during a transaction.
    one_writer: bool

    def turn(self) -> AbstractContextManager[None]:
        """Keep other writers out, where the engine knows only one at a time."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """Begin a transaction; commit it at the end, or undo it when an error leaves the block."""

    def claim(self, connection: Connection, claims: Iterable[Claim]) -> None:
        """Wait in a transaction until nobody else holds what is claimed."""

    def tidy(self) -> None:
        """Do what is due between two commits, in a turn of our own."""

    def is_wanted(self) -> bool:
        """Whether another process has its turn or waits for it; to be asked outside a turn of our own."""

    def release(self) -> None:
        """Let go of the connection, in a turn of our own."""

    def meets_all(self, error: Exception) -> bool:
        """Whether an error would meet any work just now, so that to try it piece by piece is in vain."""


class _WorkFailed(Exception):
    """Work failed, so that nothing of its transaction was committed."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class GroupCommitWriter:
    """Runs work from many threads in shared transactions."""

    def __init__(self, writing: Writing, observer: Observer | None = None) -> None:
        self._writing = writing
        self._observer = observer or Observer()
        self._queue: deque[Job] = deque()
        self._long: deque[Job] = deque()
        # Since when nobody else has written, and until when long work gives way if somebody does.
        self._quiet_since = 0.0
        self._long_is_due = 0.0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        # How many threads are forking the process: until they have, nothing is written.
        self._resting = 0

    def run(
        self,
        work: Work[Item, Result],
        item: Item,
        *,
        timeout: float,
        claims: Iterable[Claim] = (),
        is_long: bool = False,
    ) -> Result:
        """Have `work` done for an item and return its result after the commit.

        Work that is not taken up within `timeout` seconds, in a transaction that has begun and has its
        claims, is withdrawn and Unavailable raised; work that was taken up is awaited. An error of `work`
        itself is raised here, its writes being undone. Work that takes long gets a commit of its own; then it
        gives way to all who write, up to twice the time it took.
        """
        job = Job(work, item, frozenset(claims), is_long)
        with self._changed:
            (self._long if is_long else self._queue).append(job)
            self._start()
            self._changed.notify()
        if not job.done.wait(timeout) and self._withdraw(job):
            self._observer.withdrawn()
            raise Unavailable(f"the database was locked for more than {timeout:g} seconds", retry_after=2)
        job.done.wait()
        if job.error is not None:
            raise job.error
        result: Result = job.result
        return result

    def close(self) -> None:
        """Finish the work that was accepted, then close the connection; more work opens it again."""
        with self._changed:
            self._changed.wait_for(lambda: not self._resting)
            thread = self._thread
            self._closed = True
            self._changed.notify_all()
        if thread is not None:
            thread.join()
        with self._changed:
            self._closed = False
            self._start()

    def rest(self, timeout: float) -> bool:
        """Have the connection closed and the thread end, within `timeout` seconds, until `go_on`.

        Returns whether that is done; a thread that is itself writing does not wait for itself.
        """
        with self._changed:
            thread = self._thread
            self._resting += 1
            self._changed.notify_all()
        if thread is None:
            return True
        if thread is threading.current_thread():
            return False
        thread.join(timeout)
        return not thread.is_alive()

    def go_on(self) -> None:
        """Write again, unless another thread forks as well."""
        with self._changed:
            self._resting -= 1
            self._changed.notify_all()
            self._start()

    def _start(self) -> None:
        is_running = self._thread is not None and self._thread.is_alive()
        if (self._queue or self._long) and not is_running and not self._resting:
            self._thread = threading.Thread(target=self._loop, name="logservice-writer", daemon=True)
            self._thread.start()

    def _withdraw(self, job: Job) -> bool:
        with self._changed:
            if job.state is State.QUEUED:
                job.state = State.WITHDRAWN
            return job.state is State.WITHDRAWN

    def _loop(self) -> None:
        while self._thread is threading.current_thread():
            while self._wait_for_work():
                try:
                    with self._writing.turn():
                        self._use(self._take())
                except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must be told
                    # There was no turn, for work itself fails no turn: everyone who waits is told.
                    _fail(self._take(), error)
            self._finish()

    def _finish(self) -> None:
        try:
            with self._writing.turn():
                self._writing.release()
        except Exception:
            log.exception("the writing connection could not be closed")
        with self._changed:
            # A fork may be over by the time that the connection could be closed for it.
            if self._resting or self._closed:
                self._thread = None

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not (self._resting or self._queue or self._closed or self._long_may_go()):
                self._changed.wait(QUIET_SECONDS if self._long else None)
            return not self._resting and bool(self._queue or self._long)

    def _long_may_go(self) -> bool:
        """Whether long work waits and has given way for long enough."""
        now = time.monotonic()
        if not self._long or now >= self._long_is_due:
            return bool(self._long)
        if self._writing.is_wanted():
            self._quiet_since = now
        return now - self._quiet_since >= QUIET_SECONDS

    def _take(self) -> list[Job]:
        """Take what is committed together: all short work, or a piece of long work that is due."""
        with self._changed:
            is_long = bool(self._long) and (not self._queue or time.monotonic() >= self._long_is_due)
            waiting, most = (self._long, 1) if is_long else (self._queue, MOST_PER_COMMIT)
            taken: list[Job] = []
            while waiting and len(taken) < most and self._goes_with(taken, waiting[0]):
                job = waiting.popleft()
                if job.state is State.QUEUED:
                    taken.append(job)
            return taken

    def _take_up(self, jobs: Iterable[Job]) -> list[Job]:
        """Leave out what was withdrawn while the transaction waited for others to let it begin."""
        with self._changed:
            return [job for job in jobs if job.take_up()]

    def _goes_with(self, taken: Sequence[Job], job: Job) -> bool:
        """Whether work may share a transaction: where others write at once, only work that is done together.

        Each kind of work locks in an order of its own, and two in a row could meet others crosswise.
        """
        return self._writing.one_writer or not taken or taken[0].work == job.work

    def _use(self, jobs: list[Job]) -> None:
        """Do work in a turn, tidying up when nobody waits for an answer: after short work and before long."""
        if not any(job.is_long for job in jobs):
            self._commit(jobs)
            self._tidy()
            self._quiet_since = time.monotonic()
            return
        self._tidy()
        began = time.monotonic()
        self._commit(jobs)
        now = time.monotonic()
        self._long_is_due = now + 2 * (now - began)

    def _tell(self, jobs: Sequence[Job], began: float) -> None:
        """Tell the observer of a commit, once those who waited for it were let go."""
        now = time.monotonic()
        try:
            self._observer.committed([began - job.since for job in jobs], now - began)
        except Exception:
            log.exception("a commit could not be counted; it stands")

    def _tidy(self) -> None:
        try:
            self._writing.tidy()
        except Exception:
            log.exception("the database could not be tidied up; what was committed stands")

    def _commit(self, jobs: list[Job]) -> None:
        """Do all work in one transaction; where any of it fails, again, piece by piece."""
        began = time.monotonic()
        try:
            try:
                self._in_transaction(jobs, self._together)
            except _WorkFailed as failure:
                if len(jobs) == 1 or self._meets_all(failure.error):
                    raise
                if not self._writing.one_writer:
                    for job in jobs:
                        self._commit([job])
                    return
                self._in_transaction(jobs, self._one_by_one)
        except _WorkFailed as failure:
            _fail(jobs, failure.error)
        except Exception as error:  # noqa: BLE001  # it is raised again in every thread that waits
            # The commit itself failed, and may have reached the disk all the same: never do this work twice.
            _fail(jobs, error)
        else:
            done = [job for job in jobs if job.state is State.TAKEN]
            for job in done:
                job.done.set()
            if done:
                self._tell(done, began)

    def _meets_all(self, error: Exception) -> bool:
        said = isinstance(error, Unavailable) and error.meets_all
        return said or self._writing.meets_all(error)

    def _in_transaction(self, jobs: list[Job], do: Callable[[Connection, Sequence[Job]], None]) -> None:
        if not jobs:
            return
        claims = frozenset[Claim]().union(*(job.claims for job in jobs))
        with self._writing.transaction() as connection:
            self._writing.claim(connection, claims)
            try:
                do(connection, self._take_up(jobs))
            except Exception as error:
                raise _WorkFailed(error) from error

    @staticmethod
    def _together(connection: Connection, jobs: Sequence[Job]) -> None:
        for work, group in groupby(jobs, key=lambda job: job.work):
            some = list(group)
            for job, outcome in zip(some, work(connection, [job.item for job in some]), strict=True):
                job.settle(outcome)

    def _one_by_one(self, connection: Connection, jobs: Sequence[Job]) -> None:
        """Do each piece in a SAVEPOINT of its own, so that a bad one does not fail its neighbours."""
        for job in jobs:
            savepoint = connection.begin_nested()
            try:
                self._together(connection, [job])
                savepoint.commit()
            except Exception as error:  # noqa: BLE001  # it is raised again in the thread that waits
                # A full disk ends the whole transaction, savepoints included: then this fails too.
                savepoint.rollback()
                job.settle(error)


def _fail(jobs: Iterable[Job], error: Exception) -> None:
    for job in jobs:
        job.settle(error)
        job.done.set()

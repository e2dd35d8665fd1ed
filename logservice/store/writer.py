"""One writing thread per process, and one commit for all who wait.

Requests hand their work to the thread and wait. The thread takes everything that gathered while it waited
for the lock, runs each piece in a SAVEPOINT of one transaction, commits once, and only then lets the
requests go: an acknowledged event is on disk, and sixteen small posts cost one flush instead of sixteen.
"""

from __future__ import annotations

import enum
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..errors import Unavailable

T = TypeVar("T")
log = logging.getLogger("logservice")

#: More pieces of work than this are left for the next commit, so that the first need not wait for the last.
MOST_PER_COMMIT = 256


class _State(enum.Enum):
    QUEUED = 1
    TAKEN = 2
    WITHDRAWN = 3


class _Job:
    """A piece of work, and later its result or its error."""

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.state = _State.QUEUED
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None


class GroupCommitWriter:
    """Runs work from many threads in shared transactions on one connection.

    `connect` gives the connection, `lock` excludes the writers of other processes, `verify` is asked before
    each commit whether the connection still writes to the right database, `after_commit` may tidy up under
    the lock.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        lock: AbstractContextManager[Any],
        *,
        verify: Callable[[Connection], None],
        after_commit: Callable[[Connection], None],
    ) -> None:
        self._connect = connect
        self._lock = lock
        self._verify = verify
        self._after_commit = after_commit
        self._connection: Connection | None = None
        self._queue: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, work: Callable[[Connection], T], timeout: float) -> T:
        """Run `work(connection)` and return its result after the commit.

        Work that is not taken up within `timeout` seconds is withdrawn and Unavailable raised; work that was
        taken up is awaited. An error of `work` itself is raised here, its writes being undone.
        """
        job = _Job(work)
        with self._changed:
            self._queue.append(job)
            self._start()
            self._changed.notify()
        if not job.done.wait(timeout) and self._withdraw(job):
            raise Unavailable(f"the database was locked for more than {timeout:g} seconds", retry_after=2)
        job.done.wait()
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def close(self) -> None:
        """Finish the work that was accepted, then close the connection; more work opens it again."""
        with self._changed:
            thread = self._thread
            self._closed = True
            self._changed.notify_all()
        if thread is not None:
            thread.join()
        with self._changed:
            self._closed = False
            self._thread = None
            if self._queue:
                self._start()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="logservice-writer", daemon=True)
            self._thread.start()

    def _withdraw(self, job: _Job) -> bool:
        with self._changed:
            if job.state is _State.QUEUED:
                job.state = _State.WITHDRAWN
            return job.state is _State.WITHDRAWN

    def _loop(self) -> None:
        while self._wait_for_work():
            try:
                with self._lock:
                    self._commit_together(self._take())
            except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must be told
                # The lock itself failed: nothing was taken, so everyone who waits is told.
                self._fail(self._take(), error)
        self._finish()

    def _finish(self) -> None:
        if self._connection is not None:
            with self._lock:
                self._close_connection()

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            return bool(self._queue)

    def _take(self) -> list[_Job]:
        with self._changed:
            taken: list[_Job] = []
            while self._queue and len(taken) < MOST_PER_COMMIT:
                job = self._queue.popleft()
                if job.state is _State.QUEUED:
                    job.state = _State.TAKEN
                    taken.append(job)
            return taken

    def _commit_together(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        try:
            connection = self._open()
            with connection.begin():
                for job in jobs:
                    self._run(connection, job)
                self._verify(connection)
        except Exception as error:  # noqa: BLE001  # it is raised again in every thread that waits
            self._close_connection()
            self._fail(jobs, error)
            return
        for job in jobs:
            job.done.set()
        self._tidy(connection)

    def _open(self) -> Connection:
        """Return the connection; a new one where the database was replaced since the last commit."""
        if self._connection is not None:
            try:
                self._verify(self._connection)
            except Unavailable:
                self._close_connection()
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    @staticmethod
    def _run(connection: Connection, job: _Job) -> None:
        savepoint = connection.begin_nested()
        try:
            job.result = job.work(connection)
            savepoint.commit()
        except DBAPIError as error:
            # A full disk ends the whole transaction, savepoints included: then nobody's work can stand.
            if not getattr(connection.connection.driver_connection, "in_transaction", True):
                raise
            savepoint.rollback()
            job.error = error
        except Exception as error:  # noqa: BLE001  # it is raised again in the thread that waits
            savepoint.rollback()
            job.error = error

    def _tidy(self, connection: Connection) -> None:
        try:
            self._after_commit(connection)
        except Exception:
            log.exception("tidying up after a commit failed; the commit stands")

    def _fail(self, jobs: list[_Job], error: Exception) -> None:
        for job in jobs:
            job.error = job.error or error
            job.done.set()

    def _close_connection(self) -> None:
        """Close the connection, under the lock: the last one to close folds the write-ahead log back."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.close()
        except Exception:
            log.exception("closing the writing connection failed")

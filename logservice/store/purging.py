"""Purges as they are carried out: one at a time in whatever process, batch by batch, seen by all.

Every batch is one transaction with its buckets and contents, and renews the mark that keeps other purges
out; other writers get their turn in between. The mark says how far the purge is.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from ..errors import Unavailable
from . import ids, kept_usage, marks, partitions, retention
from .ids import IdRange
from .recording import span_claims, week_claim
from .retention import Batch, Gone, Purge
from .space import give_back

if TYPE_CHECKING:
    from .store import LogStore

log = logging.getLogger("logservice")

_NAME = "purge"
#: So many times fewer rows go at once where others of their hours stay, or their usage: they take longer.
_SLOWER = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a purge is: rows `deleted` and still `to_go`, and when it began and went on last."""

    before: int
    type: int | None
    keep_usage: bool
    deleted: int
    to_go: int
    started_at: int
    updated_at: int


def to_go(store: LogStore, purge: Purge) -> int:
    """Return how many rows a purge would delete."""
    with store.reading() as connection:
        return retention.to_go(connection, purge)


def under_way(store: LogStore) -> Progress | None:
    """Return how far the purge is that goes on in any process, or None; one that was killed is none."""
    with store.reading() as connection:
        found = marks.progress(connection, _NAME, now=int(store.clock()))
    return None if found is None else Progress(**found)


def carry_out(store: LogStore, purge: Purge, *, batch: int | None = None) -> Iterator[int]:
    """Delete old rows in batches, yielding the number deleted by each.

    `batch` is about how many rows go in one; twice as many when that takes an hour whole. Raises Conflict
    while another purge is under way. One that is cut short between batches is finished by the next.
    """
    usual = store.dialect.purge_batch // (1 if purge.takes_all else _SLOWER)
    return _Run(store, purge, most=batch or usual).batches()


class Run(abc.ABC):
    """One purge, its mark and its progress."""

    def __init__(self, store: LogStore, purge: Purge) -> None:
        self._store = store
        self._purge = purge
        self._owner = marks.new_owner()
        now = int(store.clock())
        self._progress = Progress(
            before=purge.before,
            type=purge.log_type,
            keep_usage=purge.keep_usage,
            deleted=0,
            to_go=0,
            started_at=now,
            updated_at=now,
        )

    def batches(self) -> Iterator[int]:
        """Do it, yielding the number of rows that each transaction deleted."""
        self._progress = replace(self._progress, to_go=self._store.to_purge(self._purge))
        self._store.write(self._hold, claims=[retention.CLAIM])
        try:
            yield from self._rows()
            if not self._purge.keep_usage:
                self._store.write(self._drop_kept, claims=[retention.CLAIM])
            if self._progress.deleted:
                give_back(self._store, between=self._renew)
        finally:
            self._release()

    @abc.abstractmethod
    def _rows(self) -> Iterator[int]:
        """Delete the rows, yielding their number batch by batch; each one is noted as it is written."""

    def _note(self, connection: Connection, rows: int) -> Progress:
        """Note how many rows are gone; return how far the purge is then, for that may be undone."""
        before = self._progress
        progress = replace(
            before,
            deleted=before.deleted + rows,
            to_go=max(before.to_go - rows, 0),
            updated_at=int(self._store.clock()),
        )
        self._hold(connection, progress)
        return progress

    def _drop_kept(self, connection: Connection) -> None:
        self._hold(connection)
        kept_usage.drop(connection, self._purge.before, log_type=self._purge.log_type)

    def _hold(self, connection: Connection, progress: Progress | None = None) -> None:
        """Take the mark or renew it, and note the progress on it."""
        now = int(self._store.clock())
        marks.hold(connection, _NAME, self._owner, now=now, progress=asdict(progress or self._progress))

    def _renew(self) -> None:
        self._store.write(self._hold, claims=[retention.CLAIM])

    def _release(self) -> None:
        release = partial(marks.release, name=_NAME, owner=self._owner)
        try:
            self._store.write(release, claims=[retention.CLAIM])
        except Unavailable:
            # What failed before is what the caller has to hear; the mark expires by itself.
            log.warning("the mark of a purge could not be taken back")


class _Run(Run):
    """A purge of rows that lie in the tables."""

    def __init__(self, store: LogStore, purge: Purge, *, most: int) -> None:
        super().__init__(store, purge)
        self._most = most

    def _rows(self) -> Iterator[int]:
        yield from self._months()
        with self._store.reading() as connection:
            found = retention.batches(connection, self._purge, most=self._most)
        for part in found:
            yield from self._part(part)
        # Those that only now lost their rows, or were in use before.
        yield from self._months()

    def _months(self) -> Iterator[int]:
        """Drop months that lie in partitions of their own and of which nothing is left."""
        store, purge = self._store, self._purge
        with store.reading() as connection:
            months = partitions.months_to_go(connection, store.dialect, purge, now=store.clock())
        for month in months:
            work = partial(self._drop, month=month)
            claims = [retention.CLAIM, *span_claims(month)]
            rows, self._progress = store.write(work, claims=claims, is_long=True)
            yield rows

    def _drop(self, connection: Connection, month: IdRange) -> tuple[int, Progress]:
        rows = partitions.drop_month(connection, self._store.dialect, self._purge, month=month)
        return rows, self._note(connection, rows)

    def _part(self, part: Batch) -> Iterator[int]:
        claims = [retention.CLAIM, week_claim(ids.second_of(part.span.low), shared=False)]
        is_done = False
        while not is_done:
            work = partial(self._delete, part=part)
            gone, self._progress = self._store.write(work, claims=claims, is_long=True)
            yield gone.rows
            is_done = gone.is_done

    def _delete(self, connection: Connection, part: Batch) -> tuple[Gone, Progress]:
        gone = retention.purge_batch(connection, self._store.dialect, self._purge, part, most=self._most)
        return gone, self._note(connection, gone.rows)

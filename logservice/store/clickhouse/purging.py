"""Purges on ClickHouse: what is to go is hidden in one transaction of the metadata, and deleted afterwards.

Rows are hidden in the moment in which their usage is kept, so that nobody ever sees both or neither of them.
Until the server has deleted them nothing can be stored among them. A purge that is cut short leaves rows
hidden; the next one begins with deleting those.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import Connection, Executable, func, select

from .. import ids, retained, retention, rollups, stats
from ..buckets import QUARTER
from ..ids import IdRange
from ..prepared import Reader, prepared
from ..purging import Progress, Run
from ..recording import span_claims
from ..retained import ABOUT, Trace
from ..retention import Purge
from ..rollups import Sums
from ..tables import DIMENSIONS, MEASURES
from . import pages
from .hiding import CLAIM, Hiding
from .selecting import Hidden, Selection, Shape
from .tables import records

if TYPE_CHECKING:
    from .store import ClickHouseStore

#: About how many rows go in one transaction where their usage stays.
KEPT_AT_ONCE = 50_000
# Traces that are read at once.
_PAGE = 50_000


class RowsRun(Run):
    """A purge of rows that lie on ClickHouse, month by month, as their partitions do."""

    def __init__(self, store: ClickHouseStore, purge: Purge, *, most: int | None) -> None:
        super().__init__(store, purge)
        self._rows_store = store
        self._most = most
        # The number of changes of what is hidden, as this purge left it.
        self._number = -1
        # The id from which on rows are hidden.
        self._low = 0

    def _rows(self) -> Iterator[int]:
        self._rows_store.delete_hidden()
        for month in self._months():
            for span in self._steps(month):
                rows, self._progress = self._hide(span)
                yield rows
            self._rows_store.delete_hidden()
            self._renew()

    def _months(self) -> list[IdRange]:
        """Return the months that hold rows to purge, oldest first, the last one up to the target."""
        spans = self._rows_store.counted(self._purge.query, ids.DAY)
        starts = sorted({ids.month(ids.second_of(span.low)).low for span in spans})
        last = ids.first_id(self._purge.before)
        return [ids.month(ids.second_of(start)).cut(None, last) for start in starts]

    def _steps(self, month: IdRange) -> Iterator[IdRange]:
        """Yield what is hidden at once: all of a month, or so many rows of it where their usage stays."""
        most = self._most or (KEPT_AT_ONCE if self._purge.keep_usage else None)
        left = Selection(replace(self._purge.query, range=month))
        while most is not None and (following := self._id_behind(left, most)) is not None:
            yield left.range.cut(None, following)
            left = left.within(IdRange(following, month.high))
        yield left.range

    def _id_behind(self, rows: Selection, number: int) -> int | None:
        """Return the id of the first row behind so many others, or None where there are not more."""
        read = partial(pages.oldest, rows=rows, fields=("id",), limit=1, offset=number)
        found = self._rows_store.sessions.read(read)
        return found[0][0] if found else None

    def _hide(self, span: IdRange) -> tuple[int, Progress]:
        """Count rows that are not hidden yet, keep their usage if it stays, and hide them as well."""

        def work(connection: Connection) -> tuple[int, Progress]:
            rows = Selection(replace(self._purge.query, range=span))
            number = self._rows_store.sessions.read(lambda reader: pages.count(reader, rows))
            if self._purge.keep_usage:
                self._keep(connection, rows)
            found = Hiding.read(connection)
            # What this purge hid before may have been deleted, and others stored in its place.
            if found.hidden is None or found.number != self._number:
                self._low = span.low
            found.hide(connection, Hidden(self._low, span.high, self._purge.log_type))
            self._number = found.number + 1
            return number, self._note(connection, number)

        claims = [retention.CLAIM, CLAIM, *span_claims(span)]
        done: tuple[int, Progress] = self._store.write(work, claims=claims, is_long=True)
        return done

    def _keep(self, connection: Connection, rows: Selection) -> None:
        """Write down the usage of rows, and which ones they are."""
        store = self._rows_store
        found = store.sessions.read(lambda reader: usage_of(reader, rows))
        if found:
            rollups.add_sums(connection, store.dialect, rollups.without_rows(found), mark=retained.KEPT)
            retained.write_down(connection, self._traces(rows), mark=retained.KEPT)

    def _traces(self, rows: Selection) -> Iterator[tuple[int, Trace]]:
        """Yield the type and the trace of rows, in the order of their ids."""
        fields = ("id", *ABOUT)
        left: Selection | None = rows
        while left is not None:
            read = partial(pages.oldest, rows=left, fields=fields, limit=_PAGE)
            found = self._rows_store.sessions.read(read)
            for row_id, *about in found:
                yield about[0], (row_id, zlib.crc32(orjson.dumps(about)))
            left = rows.within(IdRange(found[-1][0] + 1, rows.range.high)) if len(found) == _PAGE else None


def usage_of(reader: Reader, rows: Selection) -> Sums:
    """Return the usage of rows by quarter hours and all dimensions."""
    width = 1 + len(DIMENSIONS)
    found = _usage(reader, rows.values, rows.shape)
    return {tuple(row[:width]): [int(figure) for figure in row[width:]] for row in found}


@prepared
def _usage(shape: Shape) -> Executable:
    quarter = pages.bucket(QUARTER).label("quarter")
    keys = [quarter, *(records.c[name] for name in DIMENSIONS)]
    sums = [func.sum(stats.measure(records, name)) for name in MEASURES]
    return select(*keys, *sums).where(*shape.conditions()).group_by(*keys)

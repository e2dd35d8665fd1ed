"""What is asked of a log on ClickHouse: of its rows, and of the usage that purged ones left behind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Engine, Executable, literal_column, select

from ...errors import Unavailable
from .. import exports as sql_exports
from .. import ids, intervals, stats
from .. import usage as sql_usage
from ..filters import Filters
from ..ids import IdRange
from ..largest import Largest, largest
from ..pages import Cursor, Page, Rows, Span
from ..prepared import Reader, prepared
from ..queries import Query
from ..scope import Scope
from ..store import LogStore
from ..tables import site
from ..usage import Grouping, Usage
from . import exports, pages, search, sums, usage
from .hiding import Hiding
from .selecting import Selection
from .sessions import Sessions

T = TypeVar("T")
log = logging.getLogger("logservice")

#: So many times something is tried again because others were in between.
ATTEMPTS = 5
#: All rows.
EVERY = Query(Scope.site(), Filters(), ids.between())


class RowReadings(LogStore):
    """The verbs that read, for rows in the place of the sessions; `engine` is that of the metadata."""

    def __init__(self, engine: Engine, *, sessions: Sessions, **settings: Any) -> None:
        self.sessions = sessions
        super().__init__(engine, **settings)

    def page(
        self,
        scope: Scope,
        filters: Filters,
        span: IdRange,
        *,
        fields: Sequence[str],
        page: int,
        page_size: int,
    ) -> Page:
        """Return a page of rows, newest first, and the exact total."""
        offset = (page - 1) * page_size
        work = partial(pages.page, fields=fields, offset=offset, limit=page_size)
        return self._look(work, Query(scope, filters, span))

    def beside(
        self,
        scope: Scope,
        filters: Filters,
        span: IdRange,
        cursor: Cursor,
        *,
        fields: Sequence[str],
        limit: int,
    ) -> Page:
        """Return the rows next to a cursor, newest first, and the exact total without regard to it."""
        work = partial(pages.beside, cursor=cursor, fields=fields, limit=limit)
        return self._look(work, Query(scope, filters, span))

    def newest(
        self,
        scope: Scope,
        filters: Filters,
        span: IdRange,
        *,
        fields: Sequence[str],
        limit: int,
        offset: int = 0,
    ) -> Rows:
        """Return the newest rows without a total."""
        work = partial(pages.newest, fields=fields, limit=limit, offset=offset)
        return self._look(work, Query(scope, filters, span))

    def statistics(self, scope: Scope, filters: Filters, span: IdRange, *, asked: int) -> dict[str, int]:
        """Return the stats of `stats.STATS`, and rpm and tpm; `asked` is the type they follow."""
        query = Query(scope, filters.without("type"), span)
        now = int(self.clock())

        def work(reader: Reader, rows: Selection) -> dict[str, int]:
            names = (stat.name for stat in stats.STATS)
            found = dict(zip(names, sums.statistics(reader, rows, asked=asked), strict=True))
            if self._has_kept():
                kept = super(RowReadings, self).statistics(scope, filters, span, asked=asked)
                found = {name: value + kept[name] for name, value in found.items()}
            return found | sums.rates(reader, rows, asked=asked, now=now)

        return self._look(work, query, kept=True)

    def usage(
        self, query: Query, grouping: Grouping, *, asked: int | None = None, only: Largest | None = None
    ) -> Usage:
        """Return usage by groups; `asked` is the type it follows, None those of the filters."""
        ask = partial(self._usage, asked=asked)
        return ask(query, grouping) if only is None else largest(ask, query, grouping, only)

    def _usage(self, query: Query, grouping: Grouping, *, asked: int | None) -> Usage:
        if asked is not None:
            needed = query.filters.without("type").also(types=stats.types_needed(asked))
            query = replace(query, filters=needed)

        def work(reader: Reader, rows: Selection) -> Usage:
            kept = self._kept_usage(query, grouping, asked=asked)
            steps = self._steps(reader, rows, grouping)
            found = usage.of_rows(reader, rows, grouping, steps, asked=asked, is_all=kept is None)
            if kept is None:
                return found.answer()
            found.add_usage(kept)
            return found.answer(is_exact=kept.is_exact)

        return self._look(work, query, kept=True)

    def _kept_usage(self, query: Query, grouping: Grouping, *, asked: int | None) -> Usage | None:
        """Return the usage of purged rows, all groups of it; None where none is kept."""
        if not self._has_kept():
            return None
        every = replace(grouping, size=None, most=usage.MOST)
        with self._snapshot() as connection:
            return sql_usage.usage(connection, query, every, asked=asked)

    def _steps(self, reader: Reader, rows: Selection, grouping: Grouping) -> list[intervals.Step]:
        """Return the intervals that can hold rows of a query; a single one if none are asked for."""
        low, high = ids.second_of(rows.range.low), ids.second_of(rows.range.high)
        if grouping.interval == "none":
            return [intervals.Step(((low, high),))]
        ends = pages.ends(reader, Selection(EVERY, rows.hidden))
        edges = [] if ends is None else [ids.second_of(ends.low), ids.second_of(ends.high) + 1]
        with self._snapshot() as connection:
            edges += sql_usage.extent(connection) or ()
        if not edges:
            return []
        low, high = max(low, min(edges)), min(high, max(edges))
        return intervals.steps(grouping.interval, grouping.tz, low, high) if low < high else []

    def search(
        self,
        scope: Scope,
        filters: Filters,
        span: IdRange,
        keyword: str,
        *,
        fields: Sequence[str],
        limit: int,
    ) -> Rows:
        """Return the newest rows that a keyword finds."""
        work = partial(search.search, keyword=keyword, fields=fields, limit=limit)
        return self._look(work, Query(scope, filters, span))

    def batches(self, query: Query, *, fields: Sequence[str]) -> Iterator[list[sql_exports.Row]]:
        """Yield the rows of a query that are there now, oldest first, some at a time."""
        read = partial(exports.rows, self.sessions, fields=tuple(fields))
        for span, limit in (walk := exports.Walk(query.range.cut(None, self._behind_last(query)))):
            found = self._with_hidden(partial(read, limit=limit), replace(query, range=span))
            walk.found(len(found), found[-1].id if found else 0, sql_exports.longest_text(found))
            yield found

    def lines(self, query: Query, *, fields: Sequence[str]) -> Iterator[bytes]:
        """Yield the same rows as lines of JSON."""
        read = partial(exports.lines, self.sessions, fields=tuple(fields))
        for span, limit in (walk := exports.Walk(query.range.cut(None, self._behind_last(query)))):
            found = self._with_hidden(partial(read, limit=limit), replace(query, range=span))
            rows = found.count(b"\n")
            walk.found(rows, exports.last_id(found) if found else 0, len(found) // max(1, rows))
            yield found

    def _behind_last(self, query: Query) -> int:
        """Return the id behind the last one there is before the end of a range."""
        every = replace(EVERY, range=IdRange(0, query.range.high))
        found = self._look(pages.ends, every)
        return 0 if found is None else found.high + 1

    def count_exported(self, query: Query) -> int | None:
        """Return how many rows an export gives."""
        return self._look(pages.count, query)

    def count_all(self) -> int:
        """Return how many rows the log holds."""
        return self._look(pages.count, EVERY)

    def count_raw(self) -> int:
        """Return the same: nothing here counts rows but the rows themselves."""
        return self.count_all()

    def counted(self, query: Query, seconds: int) -> list[Span]:
        """Count the rows of a query by spans of so many seconds, newest first."""
        return self._look(partial(pages.counted, seconds=seconds), query)

    def _look(self, work: Callable[[Reader, Selection], T], query: Query, *, kept: bool = False) -> T:
        """Return what is found among the rows of a query that are not hidden, at one moment of hiding.

        `kept` where the usage of purged rows is part of it.
        """
        read = self.sessions.read
        return self._with_hidden(lambda rows: read(lambda reader: work(reader, rows)), query, kept=kept)

    def _with_hidden(self, work: Callable[[Selection], T], query: Query, *, kept: bool = False) -> T:
        self._prepare()
        with self._failing_clearly():
            before = self._hiding()
            for _ in range(ATTEMPTS):
                found = work(Selection(query, before.hidden))
                after = self._hiding()
                if after.deletions == before.deletions and not (kept and after.number != before.number):
                    return found
                before = after
        raise Unavailable("rows are being deleted; try again", retry_after=1)

    def _hiding(self) -> Hiding:
        with self._snapshot() as connection:
            return Hiding.read(connection)

    def _has_kept(self) -> bool:
        """Whether there is usage of purged rows."""
        with self._snapshot() as connection:
            return bool(_kept(connection, {}))

    # -- engine --------------------------------------------------------------------------------------------

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        try:
            with super()._failing_clearly():
                yield
        except self.sessions.driver.Error as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> Unavailable:
        shown = self.sessions.place.shown
        if isinstance(error, self.sessions.driver.OperationalError) and error.code is None:
            message, said = "ClickHouse does not answer", _cause(error)
        else:
            message, said = "ClickHouse could not do it", "; ".join(str(error).split("\n")[:2])
        log.error("%s: %s (%s)", shown, message, said)
        return Unavailable(message, retry_after=5, detail=f"{shown} ({said})", meets_all=True)


def _cause(error: BaseException) -> str:
    """Return what the system said first; all that speak HTTP repeat it in words of their own."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    return getattr(error, "strerror", None) or str(error)


@prepared
def _kept() -> Executable:
    return select(site.c.bucket).where(site.c.retained > literal_column("0")).limit(literal_column("1"))

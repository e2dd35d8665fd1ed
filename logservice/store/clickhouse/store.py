"""The store whose rows lie on ClickHouse: the same verbs, and the metadata in a SQL database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Executable, func, literal_column, select

from ...errors import InvalidValue, Unavailable
from .. import accounts, identities, ids, intervals, kept_ids, schema, stats
from .. import exports as sql_exports
from .. import usage as sql_usage
from ..dialects import Space
from ..filters import Filters
from ..identities import Unregistered
from ..ids import IdRange
from ..jobs import Claim
from ..largest import Largest, largest
from ..log_types import NAMES
from ..pages import Cursor, Page, Rows, Span
from ..prepared import Reader, prepared
from ..purging import under_way
from ..queries import Query
from ..recording import Post
from ..records import Record
from ..retention import Purge
from ..scope import Scope
from ..store import LogStore, alone
from ..tables import site
from ..usage import Grouping, Usage
from ..vitals import Vitals
from . import exports, pages, search, sums, usage
from .checking import RowsCheck
from .hiding import Hiding
from .purging import RowsRun
from .recording import Recorder, Stored
from .selecting import Hidden, Selection, Shape
from .sessions import Sessions
from .tables import Layout, quoted, records

T = TypeVar("T")
log = logging.getLogger("logservice")

# So many times an answer is read again because rows were hidden while it was read.
_ATTEMPTS = 5
_EVERY = Query(Scope.site(), Filters(), ids.between())


class ClickHouseStore(LogStore):
    """The log with its rows on ClickHouse; `engine` is that of the metadata.

    With a `cluster` the rows lie on all of its shards.
    """

    is_archivable = False

    def __init__(
        self,
        engine: Engine,
        *,
        sessions: Sessions,
        cluster: str | None = None,
        waiting_time: float = 10.0,
        **settings: Any,
    ) -> None:
        self.sessions = sessions
        self.layout = Layout(sessions.place.database, cluster)
        super().__init__(engine, waiting_time=waiting_time, **settings)
        self._recorder = Recorder(sessions, self.dialect)

    # -- life ----------------------------------------------------------------------------------------------

    def create(self, *, partitioned: bool = False) -> None:
        """Create what is missing of both databases; rows lie in partitions of a month in any case."""
        super().create()
        with self._failing_clearly():
            self.sessions.create(self.layout.statements())

    def close(self) -> None:
        """Finish what was accepted, give the number of this process back, and let go of both databases."""
        super().close()
        if self._recorder.ids.is_leased:
            # If that fails, the lease expires by itself.
            with suppress(Unavailable):
                self._give_back_number()
        self.sessions.dispose()

    def _give_back_number(self) -> None:
        """Give the number of this process back, in a transaction that nobody waits for and nothing counts."""
        with self._failing_clearly(), self.dialect.turn():
            with self.dialect.transaction() as connection:
                self._recorder.ids.give_back(connection)
            self.dialect.release()

    def begin_anew(self) -> None:
        """Leave behind, in a forked process, what belongs to its parent."""
        super().begin_anew()
        self.sessions.dispose(close=False)
        self._recorder = Recorder(self.sessions, self.dialect)

    def be_ready(self) -> None:
        """Raise Unavailable unless both databases can be read and have the tables of this version."""
        super().be_ready()
        with self._failing_clearly():
            self.sessions.read(_touch)

    def _create_once(self) -> None:
        was_ready = self._ready
        super()._create_once()
        if not was_ready:
            with self._failing_clearly():
                self._create_rows()

    def _create_rows(self) -> None:
        try:
            self.sessions.read(_touch)
        except self.sessions.driver.DatabaseError as error:
            if getattr(error, "name", None) not in _MISSING:
                raise
            if not self._auto_create:
                raise Unavailable(schema.wrong(schema.State.EMPTY)) from None
            self.sessions.create(self.layout.statements())

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        try:
            with super()._failing_clearly():
                yield
        except self.sessions.driver.Error as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> Unavailable:
        detail = "; ".join(str(error).split("\n")[:2])
        is_away = isinstance(error, self.sessions.driver.OperationalError) and error.code is None
        message = f"{self.sessions.place.shown} {'does not answer' if is_away else 'could not do it'}"
        log.error("%s (%s)", message, detail)
        return Unavailable(message, retry_after=5, detail=detail)

    # -- recording -----------------------------------------------------------------------------------------

    def _write(self, work: Any, item: Any, claims: Iterable[Claim], *, is_long: bool = False) -> Any:
        """Do work in a transaction, after those who are unknown in it were registered in one of their own."""
        claims = [*claims]
        for _ in range(_ATTEMPTS):
            try:
                return super()._write(work, item, claims, is_long=is_long)
            except Unregistered as error:
                register = partial(identities.resolve, dialect=self.dialect, records=error.records)
                rows = super()._write(partial(alone, register), None, [accounts.CLAIM])
                for record, row in zip(error.records, rows, strict=True):
                    record.whose = row
        raise Unavailable("users are being changed; try again", retry_after=1)

    def _record_together(self, connection: Connection, posts: Sequence[Post]) -> list[str | Exception]:
        schema.be_current(connection)
        hidden = Hiding.read(connection).hidden
        with self._failing_clearly():
            return self._recorder.store(connection, posts, now=int(self.clock()), hidden=hidden)

    def insert(self, connection: Connection, new: Sequence[Record], *, token: str = "") -> int:
        """Store clean records in a transaction of `write`: those of one token are stored once."""
        hidden = Hiding.read(connection).hidden
        with self._failing_clearly():
            return self._recorder.insert(connection, new, token=token, now=int(self.clock()), hidden=hidden)

    def holds(self, record: Record) -> bool:
        """Whether the log has a row that says the same as a record."""
        self._prepare()
        with self._failing_clearly():
            return kept_ids.is_there(Stored(self.sessions, 0), record)

    # -- reading -------------------------------------------------------------------------------------------

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
                kept = super(ClickHouseStore, self).statistics(scope, filters, span, asked=asked)
                found = {name: value + kept[name] for name, value in found.items()}
            return found | sums.rates(reader, rows, asked=asked, now=now)

        return self._look(work, query)

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

        return self._look(work, query)

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
        ends = pages.ends(reader, Selection(_EVERY, rows.hidden))
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
            found = self._with_hidden(lambda rows: read(rows, limit=limit), replace(query, range=span))  # noqa: B023
            walk.found(len(found), found[-1].id if found else 0, sql_exports.longest_text(found))
            yield found

    def lines(self, query: Query, *, fields: Sequence[str]) -> Iterator[bytes]:
        """Yield the same rows as lines of JSON."""
        read = partial(exports.lines, self.sessions, fields=tuple(fields))
        for span, limit in (walk := exports.Walk(query.range.cut(None, self._behind_last(query)))):
            found = self._with_hidden(lambda rows: read(rows, limit=limit), replace(query, range=span))  # noqa: B023
            rows = found.count(b"\n")
            walk.found(rows, exports.last_id(found) if found else 0, len(found) // max(1, rows))
            yield found

    def _behind_last(self, query: Query) -> int:
        """Return the id behind the last one there is before the end of a range."""
        every = replace(_EVERY, range=IdRange(0, query.range.high))
        found = self._look(pages.ends, every)
        return 0 if found is None else found.high + 1

    def count_exported(self, query: Query) -> int | None:
        """Return how many rows an export gives."""
        return self._look(pages.count, query)

    def count_all(self) -> int:
        """Return how many rows the log holds."""
        return self._look(pages.count, _EVERY)

    def count_raw(self) -> int:
        """Return the same: nothing here counts rows but the rows themselves."""
        return self.count_all()

    def counted(self, query: Query, seconds: int) -> list[Span]:
        """Count the rows of a query by spans of so many seconds, newest first."""
        return self._look(partial(pages.counted, seconds=seconds), query)

    def _look(self, work: Callable[[Reader, Selection], T], query: Query) -> T:
        """Return what is found among the rows of a query that are not hidden, at one moment of hiding."""
        return self._with_hidden(lambda rows: self.sessions.read(lambda reader: work(reader, rows)), query)

    def _with_hidden(self, work: Callable[[Selection], T], query: Query) -> T:
        self._prepare()
        with self._failing_clearly():
            before = self._hiding()
            for _ in range(_ATTEMPTS):
                found = work(Selection(query, before.hidden))
                after = self._hiding()
                if after.number == before.number:
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

    # -- figures -------------------------------------------------------------------------------------------

    def space(self) -> Space:
        """Return what both databases take on disk; the rows are one of the tables."""
        metadata = super().space()
        with self._failing_clearly():
            [(stored,)] = self.sessions.rows(self.layout.bytes_on_disk)
        stored = int(stored)
        tables = {**metadata.tables, str(records.name): stored}
        return replace(metadata, database=metadata.database + stored, tables=tables)

    def size(self) -> int:
        """Return how many bytes the log takes."""
        return self.space().database

    def status(self) -> dict[str, Any]:
        """Return figures about the databases, for operators."""
        return super().status() | {"database_bytes": self.space().database}

    def vitals(self) -> Vitals:
        """Return a few figures that are cheap to read."""
        types = self.types()
        oldest = {NAMES.get(kind, str(kind)): int(second) for kind, _, second in types}
        return Vitals(sum(rows for _, rows, _ in types), oldest, self.space(), under_way(self))

    def types(self) -> list[tuple[int, int, int]]:
        """Return the types that rows have, how many have each, and the second of the oldest one."""
        found = self._look(lambda reader, rows: _types(reader, rows.values, rows.shape), _EVERY)
        return [(int(kind), int(rows), int(second)) for kind, rows, second in found]

    def ends(self) -> IdRange | None:
        """Return the ids of the first and the last row, `high` being the last one's; None without rows."""
        return self._look(pages.ends, _EVERY)

    def hours(self, since: Mapping[int, int]) -> list[tuple[int, int]]:
        """Return the hours that are over and hold rows of types not older than a second, and how many."""
        now = int(self.clock())
        found: dict[int, int] = {}
        for kind, second in since.items():
            span = IdRange(ids.first_id(second), ids.first_id(now - now % ids.HOUR))
            for one in self.counted(Query(Scope.site(), Filters({"type": kind}), span), ids.HOUR):
                hour = ids.second_of(one.low) // ids.HOUR * ids.HOUR
                found[hour] = found.get(hour, 0) + one.rows
        return sorted(found.items())

    def back_up(self, path: Path, advance: Callable[[], None]) -> None:
        """Raise InvalidValue: the servers have a statement of their own for that."""
        raise InvalidValue(
            "a log on ClickHouse is backed up by its statement BACKUP, and the metadata by their own database"
        )

    # -- maintenance ---------------------------------------------------------------------------------------

    def to_purge(self, purge: Purge) -> int:
        """Return how many rows a purge would delete."""
        return self._look(pages.count, purge.query)

    def purge(self, purge: Purge, *, batch: int | None = None) -> Iterator[int]:
        """Delete old rows month by month, yielding the number of each step."""
        return RowsRun(self, purge, most=batch).batches()

    def delete_hidden(self) -> None:
        """Delete the rows that are hidden, and then hide none."""
        hidden = self._hiding().hidden
        if hidden is None:
            return
        with self._failing_clearly():
            self.sessions.command(self._deletion(hidden))
        self.write(_hide_nothing)

    def _deletion(self, hidden: Hidden) -> str:
        stored = f"{quoted(self.layout.database)}.{quoted(self.layout.stored)}{self.layout.everywhere}"
        span = IdRange(hidden.low, hidden.high)
        if hidden.type is None and span == ids.month(ids.second_of(hidden.low)):
            month = datetime.fromtimestamp(ids.second_of(hidden.low), UTC)
            return f"ALTER TABLE {stored} DROP PARTITION {month:%Y%m}"
        seconds = f"created_at BETWEEN {ids.second_of(span.low)} AND {ids.second_of(span.high - 1)}"
        of_type = "" if hidden.type is None else f" AND type = {hidden.type}"
        # The numbers are ours.
        return f"DELETE FROM {stored} WHERE {seconds} AND id >= {span.low} AND id < {span.high}{of_type}"  # nosec B608

    def check(self, *, full: bool = False, seconds: float | None = None) -> RowsCheck:
        """Begin a check of the log; there are no sums that could differ from the rows."""
        return RowsCheck(self, full=full)

    def damage(self) -> list[str]:
        """Return what the server says is wrong with the files of the rows."""
        table = f"{quoted(self.layout.database)}.{quoted(self.layout.stored)}"
        with self._failing_clearly():
            [(found, *_)] = self.sessions.rows(
                f"CHECK TABLE {table} SETTINGS check_query_single_value_result = 1"
            )
        return [] if found == 1 else [f"{records.name}: {found}"]

    def rebuild(self) -> Iterator[int]:
        """Yield nothing: there are no buckets to be built from rows."""
        return iter(())


#: What ClickHouse calls a table, a database that is not there.
_MISSING = ("UNKNOWN_TABLE", "UNKNOWN_DATABASE")


def _touch(reader: Reader) -> None:
    """Read nothing of the table, which fails where it is missing or lacks a column."""
    _nothing(reader, {})


def _hide_nothing(connection: Connection) -> None:
    Hiding.read(connection).hide(connection, None)


@prepared
def _nothing() -> Executable:
    return select(*records.c).limit(literal_column("0"))


@prepared
def _kept() -> Executable:
    return select(site.c.bucket).where(site.c.retained > literal_column("0")).limit(literal_column("1"))


@prepared
def _types(shape: Shape) -> Executable:
    kind = records.c.type
    found = select(kind, func.count(), func.min(records.c.created_at)).where(*shape.conditions())
    return found.group_by(kind).order_by(kind)

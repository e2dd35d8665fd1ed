"""The store whose rows lie on ClickHouse: the same verbs, and the metadata in a SQL database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Executable, func, literal_column, select

from ...errors import InvalidValue, Unavailable
from .. import accounts, identities, ids, kept_ids, schema, tables
from ..dialects import Space, urls
from ..filters import Filters
from ..identities import Unregistered
from ..ids import IdRange
from ..jobs import Claim
from ..log_types import NAMES
from ..prepared import Reader, prepared
from ..purging import under_way
from ..queries import Query
from ..recording import Post
from ..records import Record
from ..retention import Purge
from ..scope import Scope
from ..store import alone
from ..vitals import Vitals
from . import pages
from .checking import RowsCheck
from .hiding import CLAIM, BeingDeleted, Hiding, begin_deletion, hide_nothing
from .purging import RowsRun
from .readings import ATTEMPTS, EVERY, RowReadings
from .recording import Recorder, Stored
from .selecting import Hidden, Shape
from .tables import Layout, quoted, records


class ClickHouseStore(RowReadings):
    """The log with its rows on ClickHouse; `engine` is that of the metadata.

    With a `cluster` the rows lie on all of its shards.
    """

    is_archivable = False
    url_setting = urls.META_SETTING
    has_sums = False
    # An engine in this process (chDB) has threads of its own, for as long as it likes.
    computes_here = False

    def __init__(self, engine: Engine, *, cluster: str | None = None, **settings: Any) -> None:
        super().__init__(engine, **settings)
        self.layout = Layout(self.sessions.place.database, cluster)
        self._recorder = Recorder(self.sessions, self.dialect)

    # -- life ----------------------------------------------------------------------------------------------

    def create(self, *, partitioned: bool = False) -> None:
        """Create what is missing of both databases; rows lie in partitions of a month in any case.

        Raises Unavailable where the metadata have rows of their own, or are new beside rows that are not.
        """
        super().create()
        # Not before the rows have their table as well.
        self._ready = False
        with self._failing_clearly():
            self.sessions.create(self.layout.statements())
            self._refuse_strangers()
        self._ready = True

    def _refuse_strangers(self) -> None:
        """Refuse metadata that are not those of the rows: who is new would get an id that somebody has."""
        with self.dialect.reading() as connection:
            has_rows = connection.scalar(select(tables.records.c.id).limit(1)) is not None
            has_users = connection.scalar(select(tables.users.c.id).limit(1)) is not None
        if has_rows:
            raise Unavailable(
                f"{urls.META_SETTING} names a log with rows of its own, which would count beside those on "
                "ClickHouse; name another database, or an emptied copy of it"
            )
        if not has_users and self.sessions.read(_has_owners):
            raise Unavailable(
                f"there are rows in {self.sessions.place.shown}, and the metadata of {urls.META_SETTING} "
                "know nobody: name those that belong to the rows"
            )

    def close(self) -> None:
        """Finish what was accepted, give the number of this process back, and let go of both databases."""
        self.dialect.close(self._finish)
        self.sessions.dispose()

    def _finish(self) -> None:
        self.writer.close()
        if self._recorder.ids.is_leased:
            # If that fails, the lease expires by itself.
            with suppress(Unavailable):
                self._give_back_number()

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
        if self._ready:
            return
        super()._create_once()
        self._ready = False
        with self._failing_clearly():
            if not self._has_table():
                self._create_rows()
            self._refuse_strangers()
        self._ready = True

    def _has_table(self) -> bool:
        try:
            self.sessions.read(_touch)
        except self.sessions.driver.DatabaseError as error:
            if not any(name in str(error) for name in _MISSING):
                raise
            return False
        return True

    def _create_rows(self) -> None:
        """Create the table, unless there are people already: then there was one, and it is away."""
        with self.dialect.reading() as connection:
            has_users = connection.scalar(select(tables.users.c.id).limit(1)) is not None
        if has_users or not self._auto_create:
            raise Unavailable(
                f"there is no log in {self.sessions.place.shown}; `logservice init-db` creates one"
            )
        self.sessions.create(self.layout.statements())

    # -- recording -----------------------------------------------------------------------------------------

    def _write(self, work: Any, item: Any, claims: Iterable[Claim], *, is_long: bool = False) -> Any:
        """Do work in a transaction, once who is unknown in it is registered and nothing is in its way."""
        claims = [*claims]
        for _ in range(ATTEMPTS):
            try:
                return super()._write(work, item, claims, is_long=is_long)
            except Unregistered as error:
                register = partial(identities.resolve, dialect=self.dialect, records=error.records)
                rows = super()._write(partial(alone, register), None, [accounts.CLAIM])
                for record, row in zip(error.records, rows, strict=True):
                    record.whose = row
            except BeingDeleted:
                # A purge that was killed leaves rows hidden, and nobody may come to delete them.
                if under_way(self) is not None:
                    raise
                self.delete_hidden()
        raise Unavailable("users or rows are being changed; try again", retry_after=1)

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
            return kept_ids.is_there(Stored(self.sessions), record)

    # -- figures -------------------------------------------------------------------------------------------

    def space(self) -> Space:
        """Return what both databases take on disk; the rows are one of the tables."""
        metadata = super().space()
        with self._failing_clearly():
            [(stored, _)] = self.sessions.rows(self.layout.bytes_on_disk)
        stored = int(stored)
        tables = {**metadata.tables, str(records.name): stored}
        return replace(metadata, database=metadata.database + stored, tables=tables)

    def size(self) -> int:
        """Return about how many bytes the rows take; those of deleted ones, which go by a merge, left out."""
        with self._failing_clearly():
            [(stored, rows)] = self.sessions.rows(self.layout.bytes_on_disk)
        return int(stored) * self.count_all() // max(int(rows), 1)

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
        found = self._look(lambda reader, rows: _types(reader, rows.values, rows.shape), EVERY)
        return [(int(kind), int(rows), int(second)) for kind, rows, second in found]

    def ends(self) -> IdRange | None:
        """Return the ids of the first and the last row, `high` being the last one's; None without rows."""
        return self._look(pages.ends, EVERY)

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
        found = self.write(begin_deletion, claims=[CLAIM])
        if found.hidden is None:
            return
        with self._failing_clearly():
            self.sessions.command(self._deletion(found.hidden), patiently=True)
        self.write(partial(hide_nothing, since=found.number), claims=[CLAIM])

    def _deletion(self, hidden: Hidden) -> str:
        stored = f"{quoted(self.layout.database)}.{quoted(self.layout.stored)}{self.layout.everywhere}"
        span = IdRange(hidden.low, hidden.high)
        if hidden.type is None and span == ids.month(ids.second_of(hidden.low)):
            month = datetime.fromtimestamp(ids.second_of(hidden.low), UTC)
            return f"ALTER TABLE {stored} DROP PARTITION {month:%Y%m}"
        seconds = f"created_at BETWEEN {ids.second_of(span.low)} AND {ids.second_of(span.high - 1)}"
        of_type = "" if hidden.type is None else f" AND type = {hidden.type}"
        where = f"{seconds} AND id >= {span.low} AND id < {span.high}{of_type}"
        return f"DELETE FROM {stored} WHERE {where}"  # nosec B608 # names and numbers of ours

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
        return [] if found == 1 else [f"{records.name}: CHECK TABLE says that parts of it are broken"]

    def rebuild(self) -> Iterator[int]:
        """Yield nothing: there are no buckets to be built from rows."""
        return iter(())


#: What ClickHouse calls a table, a database that is not there.
_MISSING = ("UNKNOWN_TABLE", "UNKNOWN_DATABASE")


def _touch(reader: Reader) -> None:
    """Read nothing of the table, which fails where it is missing or lacks a column."""
    _nothing(reader, {})


@prepared
def _nothing() -> Executable:
    return select(*records.c).limit(literal_column("0"))


@prepared
def _types(shape: Shape) -> Executable:
    kind = records.c.type
    found = select(kind, func.count(), func.min(records.c.created_at)).where(*shape.conditions())
    return found.group_by(kind).order_by(kind)


def _has_owners(reader: Reader) -> bool:
    """Whether there are rows of anybody."""
    return bool(_owned(reader, {}))


@prepared
def _owned() -> Executable:
    owned = records.c.user_id != literal_column("0")
    return select(records.c.id).where(owned).limit(literal_column("1"))

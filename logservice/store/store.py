"""The store: every verb of the log on one database, reading in one snapshot, writing in one transaction."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from ..errors import Unavailable
from . import (
    dialects,
    exports,
    forks,
    ids,
    kept_ids,
    purging,
    recent,
    recording,
    retention,
    rollups,
    schema,
    size_cap,
    vitals,
)
from .checking import Check
from .dialects import urls
from .idempotency import IdempotencyKey
from .jobs import Claim
from .kept_ids import InTables
from .observing import Observer
from .prepared import Reader
from .queries import Query
from .readings import Readings
from .recording import Post, week_claim
from .records import Record
from .retention import Purge
from .tables import records
from .vitals import Vitals
from .writer import GroupCommitWriter

T = TypeVar("T")
log = logging.getLogger("logservice")


class LogStore(Readings):
    """The log in one database. `engine` is made from `dialects.engine_settings`, or `shared` with a host.

    `waiting_time` is how long, in seconds, a write waits for its turn before Unavailable; `clock` gives the
    time in epoch seconds; with `auto_create` missing tables are created on first use; `observer` is told what
    is stored. Every verb raises Unavailable when the database fails, and then nothing of it is stored.
    """

    #: Whether days of rows can be moved into an archive.
    is_archivable = True
    #: The setting that names its database.
    url_setting = urls.SETTING
    #: Whether sums lie beside the rows, which a check compares and a rebuild makes anew.
    has_sums = True

    def __init__(
        self,
        engine: Engine,
        *,
        waiting_time: float = 10.0,
        auto_create: bool = True,
        shared: bool = False,
        clock: Callable[[], float] = time.time,
        observer: Observer | None = None,
    ) -> None:
        self.engine = engine
        self.observer = observer or Observer()
        self.dialect = dialects.for_engine(engine, waiting_time=waiting_time, shared=shared)
        self.writer = GroupCommitWriter(self.dialect, self.observer)
        self.clock = clock
        self._auto_create = auto_create
        self._created = threading.Lock()
        self._ready = False
        forks.watch(self)

    @property
    def computes_here(self) -> bool:
        """Whether statements are computed in this process and soon done, as SQLite's are."""
        return self.dialect.one_writer

    # -- life ----------------------------------------------------------------------------------------------

    def create(self, *, partitioned: bool = False) -> None:
        """Create what is missing of the database, or bring it up to this version of the program.

        That is the file, the tables and the search index. Raises Unavailable when the database is newer, and
        where it is to be `partitioned` by month, InvalidValue or Conflict if it cannot be.
        """
        partition = self.dialect.partitioning() if partitioned else None
        with self._failing_clearly():
            self.dialect.create(partial(schema.bring_up, partition=partition, now=int(self.clock())))
        self._ready = True

    def close(self) -> None:
        """Finish what was accepted and let go of the database."""
        self.dialect.close(self.writer.close)

    @contextmanager
    def reading(self, *, much: bool = False) -> Iterator[Connection]:
        """Give a connection that sees one snapshot of the database; one to read `much` keeps little of it."""
        self._prepare()
        with self._failing_clearly(), self.dialect.reading(much=much) as connection:
            schema.be_current(connection)
            yield connection

    @contextmanager
    def _snapshot(self) -> Iterator[Reader]:
        self._prepare()
        with self._failing_clearly(), self.dialect.snapshot() as connection:
            schema.be_current(connection)
            yield connection

    def write(
        self, work: Callable[[Connection], T], *, claims: Iterable[Claim] = (), is_long: bool = False
    ) -> T:
        """Run `work(connection)` in a transaction and return its result once that is on disk.

        Where the transaction fails because of a neighbour's work, it is run again in another.
        """
        result: T = self._write(partial(alone, work), None, claims, is_long=is_long)
        return result

    def _write(self, work: Any, item: Any, claims: Iterable[Claim], *, is_long: bool = False) -> Any:
        self._prepare()
        claims = [*claims, schema.CLAIM]
        with self._failing_clearly():
            if is_long and not self.dialect.one_writer:
                return self._write_apart(work, item, claims)
            waiting_time = self.dialect.waiting_time
            return self.writer.run(work, item, timeout=waiting_time, claims=claims, is_long=is_long)

    def _write_apart(self, work: Any, item: Any, claims: Iterable[Claim]) -> Any:
        """Do long work in a transaction beside those of the writer."""
        with self.dialect.transaction() as connection:
            self.dialect.claim(connection, claims)
            [result] = work(connection, [item])
        return result

    # -- recording -----------------------------------------------------------------------------------------

    def record(self, new: Sequence[Record], *, key: IdempotencyKey | None = None, answer: str = "") -> str:
        """Store clean records, all of them or none, and return `answer`.

        With an idempotency key seen before nothing is stored and the answer of that time is returned; raises
        Conflict when the key came with another body then.
        """
        if not new and key is None:
            return answer
        post = Post(new, answer, key)
        stored: str = self._write(self._record_together, post, post.claims())
        # A repeat is answered with the text of the first post, never with this one.
        if stored is answer:
            self.observer.stored(len(new))
        return stored

    def _record_together(self, connection: Connection, posts: Sequence[Post]) -> list[str | Exception]:
        schema.be_current(connection)
        return recording.store(connection, self.dialect, posts, now=int(self.clock()))

    def insert(self, connection: Connection, new: Sequence[Record], *, token: str = "") -> int:
        """Store clean records in a transaction of `write`, and return how many: some may be there already.

        Where rows lie elsewhere than what the transaction writes, those of one `token` are stored once.
        """
        return recording.insert(connection, self.dialect, new, now=int(self.clock()))

    def holds(self, record: Record) -> bool:
        """Whether the log has a row that says the same as a record."""
        with self.reading() as connection:
            return kept_ids.is_there(InTables(connection), record)

    # -- figures -------------------------------------------------------------------------------------------

    def batches(self, query: Query, *, fields: Sequence[str]) -> Iterator[list[exports.Row]]:
        """Yield the rows of a query that are there now, oldest first, some at a time: `exports.batches`."""
        return exports.batches(self, query, fields=fields)

    def lines(self, query: Query, *, fields: Sequence[str]) -> Iterator[bytes]:
        """Yield the same rows as lines of JSON: `exports.lines`."""
        return exports.lines(self, query, fields=fields)

    def count_exported(self, query: Query) -> int | None:
        """Return how many rows an export gives, or None where only reading them would tell."""
        return exports.count(self, query)

    def status(self) -> dict[str, Any]:
        """Return figures about the database file or server, for operators."""
        return self.dialect.status()

    def space(self) -> dialects.Space:
        """Return what the database takes on disk."""
        with self._failing_clearly():
            return self.dialect.space()

    def size(self) -> int:
        """Return about how many bytes the log takes, without room in its files that is free for new rows."""
        self.dialect.shorten()
        return self.write(partial(self.dialect.size, rows=self.count_all()), is_long=True)

    def version(self) -> str | None:
        """Return the version of the database's schema as it stands, None when it has no tables."""
        with self._failing_clearly(), self.dialect.reading() as connection:
            return schema.version_of(connection)

    def be_ready(self) -> None:
        """Raise Unavailable unless the database can be read and has the tables of this version."""
        with self.reading() as connection:
            schema.touch_tables(connection)

    def hours(self, since: Mapping[int, int]) -> list[tuple[int, int]]:
        """Return the hours that are over and hold rows of some types, oldest first, and how many rows.

        Of each type only rows count that are not older than a second.
        """
        return size_cap.hours(self, since)

    def back_up(self, path: Path, advance: Callable[[], None]) -> None:
        """Write a sound copy of the database, whatever its schema, into an empty file: `Dialect.back_up`."""
        with self._failing_clearly():
            self.dialect.back_up(path, advance)

    def count_raw(self) -> int:
        """Return how many rows the log holds by counting them one by one, for checks."""
        with self.reading() as connection:
            return connection.scalar(select(func.count()).select_from(records)) or 0

    # -- maintenance ---------------------------------------------------------------------------------------

    def to_purge(self, purge: Purge) -> int:
        """Return how many rows a purge would delete."""
        return purging.to_go(self, purge)

    def purge(self, purge: Purge, *, batch: int | None = None) -> Iterator[int]:
        """Delete old rows in batches of about so many, yielding the number of each: `purging.carry_out`."""
        return purging.carry_out(self, purge, batch=batch)

    def check(self, *, full: bool = False, seconds: float | None = None) -> Check:
        """Begin a check of the log, by samples for so many `seconds` or in `full`: `checking.Check`."""
        return Check(self, full=full, seconds=seconds)

    def vitals(self) -> Vitals:
        """Return a few figures that are cheap to read."""
        return vitals.read(self)

    def rebuild(self) -> Iterator[int]:
        """Build the sums anew from the rows, yielding the start of each day once it is done."""
        with self.reading() as connection:
            days = sorted({*rollups.days(connection), *recent.days(connection)})
            has_begun = recent.has_begun(connection)
        if not has_begun:
            self.create()
        for day in days:
            work = partial(_build, low=day, high=day + ids.DAY)
            # A purge that drops kept usage claims no week, and this builds sums of it anew.
            self.write(work, claims=[retention.CLAIM, week_claim(day, shared=False)], is_long=True)
            yield day

    # -- engine --------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        if not self._ready:
            if not self._created.acquire(timeout=self.dialect.waiting_time):
                raise Unavailable("the tables are being created or brought up to date", retry_after=5)
            try:
                self._create_once()
            finally:
                self._created.release()

    def rest(self) -> None:
        """Finish what is under way before the process is forked, reads first: they may wait for a write."""
        self.dialect.rest()
        if not self.writer.rest(self.dialect.waiting_time):
            log.warning("the process is forked in the middle of a write; the child may find the log locked")

    def go_on(self) -> None:
        """Go on after a fork, in the parent."""
        self.writer.go_on()
        self.dialect.go_on()

    def begin_anew(self) -> None:
        """Leave behind, in a forked process, what belongs to its parent: connections, thread and lock."""
        self.dialect.reset_after_fork()
        self.writer = GroupCommitWriter(self.dialect, self.observer)
        self._created = threading.Lock()

    def _create_once(self) -> None:
        """See to it that the tables are there, and those of this version."""
        if self._ready:
            return
        with self._failing_clearly():
            found = self._state()
        if found is not schema.State.CURRENT:
            if not self._auto_create:
                raise Unavailable(schema.wrong(found) if self.dialect.exists() else self._missing())
            self.create()
            if found is schema.State.EMPTY:
                log.warning("there was no log, and a new one was begun in %s", self.dialect.place)
        self._ready = True

    def _missing(self) -> str:
        return f"there is no log in {self.dialect.place}: put it back; `logservice init-db` begins a new one"

    def _state(self) -> schema.State:
        if not self.dialect.exists():
            return schema.State.EMPTY
        with self.dialect.reading() as connection:
            return schema.state(connection)

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error, OSError) as error:
            message, said = self.dialect.lost(error), str(getattr(error, "orig", None) or error).strip()
            detail = "; ".join(said.splitlines()) or type(error).__name__
            log.error("%s (%s)", message, detail)
            log.debug("the database error in full", exc_info=error)
            raise Unavailable(message, retry_after=5, detail=detail) from error


def _build(connection: Connection, low: int, high: int) -> None:
    """Build all sums of whole days anew, from second `low` to before `high`."""
    rollups.build(connection, low, high)
    recent.recount(connection, low, high)


def alone(work: Callable[[Connection], T], connection: Connection, _items: Sequence[None]) -> list[T]:
    """Do a piece of work that nothing else is done together with."""
    schema.be_current(connection)
    return [work(connection)]

"""What the store asks of a database engine."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Engine, FromClause, Table

from ..ids import IdRange
from ..jobs import Claim
from ..prepared import Reader


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """Where contents that may hold a keyword are found: a table, its id column and what narrows it.

    The condition has a parameter `terms`. Every content that holds the keyword is among those found; each one
    has yet to be verified.
    """

    table: FromClause
    row_id: ColumnElement[int]
    condition: ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Space:
    """What a database takes on disk, in bytes; None where the engine does not know.

    `wal` is the write-ahead log, `free` what is left of the file system, `tables` each with its indexes.
    """

    database: int
    wal: int | None = None
    free: int | None = None
    tables: Mapping[str, int] = field(default_factory=dict)


class Dialect(abc.ABC):
    """One engine's way to be opened, read, written to and searched; what a writer needs is among it."""

    name: str
    #: The driver of an engine that a host made for itself and that can serve the log as well, if any can.
    shared_driver: str | None = None
    #: Whether `turn` keeps all other writers out, so that nothing changes during a transaction.
    one_writer: bool
    #: About how many rows a purge deletes in one transaction.
    purge_batch: int
    #: What narrows a search, unless the condition `contains` finds an index by itself.
    search_index: SearchIndex | None = None
    #: The file that is the database, where it is one.
    path: Path | None = None

    def __init__(self, engine: Engine, *, waiting_time: float, shared: bool = False) -> None:
        self.engine = engine
        self.waiting_time = waiting_time
        self.shared = shared

    @property
    def place(self) -> str:
        """Where the log is, for people: the file, or the name of the database."""
        return str(self.path or self.engine.url.database)

    @classmethod
    @abc.abstractmethod
    def engine_settings(cls, url: URL, folder: str, *, waiting_time: float) -> dict[str, Any]:
        """Return the keywords of `create_engine` for the engine that reads."""

    @classmethod
    def file_of(cls, url: URL) -> Path | None:
        """Return the file that a URL names, where databases are files."""
        return None

    # -- life ----------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def exists(self) -> bool:
        """Whether there is a database to look into."""

    @abc.abstractmethod
    def create(self, bring_up: Callable[[Connection], None]) -> None:
        """Create the database if it is a file, have its tables brought up to date, and the search index.

        Safe when several processes do so at once.
        """

    @abc.abstractmethod
    def lost(self, error: BaseException) -> str:
        """Return a sentence that says why the database failed, for people."""

    def rest(self) -> None:  # noqa: B027 - most need none
        """See to it that a fork finds no reads under way, where a child must not inherit connections."""

    def go_on(self) -> None:  # noqa: B027 - most need none
        """Let read again after a fork, in the parent."""

    @abc.abstractmethod
    def reset_after_fork(self) -> None:
        """Forget connections that belong to the parent process."""

    @abc.abstractmethod
    def close(self, finish_writing: Callable[[], None]) -> None:
        """Let go of the database once what was accepted is written."""

    def status(self) -> dict[str, Any]:
        """Return figures about the engine, for operators."""
        return {}

    def shorten(self) -> None:
        """Have files that grew for a while made short before the next long work of the writer."""
        return

    @abc.abstractmethod
    def session(self, connection: Connection) -> int:
        """Return a number that no other session has which may write at the same time."""

    @abc.abstractmethod
    def size(self, connection: Connection, *, rows: int) -> int:
        """Return about how many bytes the log takes, free room left out; `rows` are in `log_records`."""

    @abc.abstractmethod
    def space(self) -> Space:
        """Return what the database takes on disk."""

    def damage(self, connection: Connection, table: str) -> list[str]:
        """Return what is wrong with a table as the engine stores it, where it can be asked; at most some."""
        return []

    @abc.abstractmethod
    def back_up(self, path: Path, advance: Callable[[], None]) -> None:
        """Write a sound copy of the database, as it is at one moment, into an empty file.

        `advance` is called now and then. Raises InvalidValue where the engine has a program of its own for
        that, and Unavailable when the copy fails.
        """

    # -- transactions --------------------------------------------------------------------------------------

    @abc.abstractmethod
    def reading(self, *, much: bool = False) -> AbstractContextManager[Connection]:
        """Give a connection that sees one snapshot of the database.

        One to read `much`, such as all of the log, keeps little of that in memory.
        """

    @abc.abstractmethod
    def snapshot(self) -> AbstractContextManager[Reader]:
        """Give the same for prepared statements only, which is quicker."""

    @abc.abstractmethod
    def turn(self) -> AbstractContextManager[None]:
        """Keep other writers out, where the engine knows only one at a time."""

    @abc.abstractmethod
    def tidy(self) -> None:
        """Do what is due between two commits, in a turn of our own."""

    @abc.abstractmethod
    def is_wanted(self) -> bool:
        """Whether another process has its turn or waits for it; to be asked outside a turn of our own."""

    @abc.abstractmethod
    def transaction(self) -> AbstractContextManager[Connection]:
        """Begin a writing transaction; commit it at the end, or undo it when an error leaves the block."""

    @abc.abstractmethod
    def claim(self, connection: Connection, claims: Iterable[Claim]) -> None:
        """Wait in a transaction until nobody else holds what is claimed."""

    @abc.abstractmethod
    def release(self) -> None:
        """Let go of the writing connection, in a turn of our own."""

    def meets_all(self, error: Exception) -> bool:
        """Whether an error would meet any work just now, so that to try it piece by piece is in vain."""
        return False

    # -- writing -------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def new_ids(self, connection: Connection, seconds: Sequence[int]) -> list[int]:
        """Return an unused id for each second, in order. Raises InvalidValue when a second is full."""

    @abc.abstractmethod
    def insert(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, each with all columns of the table in order."""

    @abc.abstractmethod
    def add_up(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows, sorted by key, to a bucket table: new keys are inserted, known ones added to."""

    def give_back(self, connection: Connection, *, pages: int) -> bool:
        """Give up to so many free pages back to the file system; return whether there are more."""
        return False

    # -- partitions ----------------------------------------------------------------------------------------

    @abc.abstractmethod
    def partitioning(self) -> Callable[[Connection, Sequence[Table]], None]:
        """Return what creates tables with an `id` in partitions of a month each, unless they are there.

        It raises Conflict where they are there without partitions. Raises InvalidValue where there is no such
        thing.
        """

    def make_room(self, connection: Connection, seconds: Iterable[int]) -> None:  # noqa: B027 - most need none
        """See to it that rows of these seconds have a place, before a transaction locks anything else.

        The weeks of the rows are claimed already, so that nobody drops the place again meanwhile.
        """

    def months(self, connection: Connection) -> list[IdRange]:
        """Return the months that have partitions, oldest first; none where there are no partitions."""
        return []

    def drop_month(self, connection: Connection, month: IdRange) -> bool:
        """Drop the partitions of a month, as the last thing a transaction does.

        Returns False, with nothing done, where others use the tables for so long that they should not wait.
        """
        return False

    # -- searching -----------------------------------------------------------------------------------------

    @abc.abstractmethod
    def plan_by_values(self, connection: Reader) -> None:
        """Have the statements of this transaction planned anew, where plans are kept and values decide."""

    def search_terms(self, folded: str) -> str | None:
        """Return what to ask the search index for a case-folded keyword, or None if only a scan can tell."""
        return None

    @abc.abstractmethod
    def index_contents(self, connection: Connection, contents: Sequence[tuple[int, str]]) -> None:
        """Add case-folded texts to the search index, by id."""

    @abc.abstractmethod
    def unindex_contents(self, connection: Connection, contents: Sequence[tuple[int, str]]) -> None:
        """Remove texts from the search index, by id."""

    @abc.abstractmethod
    def clear_contents(self, connection: Connection) -> None:
        """Empty the search index."""

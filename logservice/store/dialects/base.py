"""What the store asks of a database engine."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import URL, ColumnElement, Connection, Engine, FromClause, MetaData

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """Where the rows that may hold a keyword are found: a table, its id column and what narrows it.

    Every row that holds the keyword is among them; each one found has yet to be verified.
    """

    table: FromClause
    row_id: ColumnElement[int]
    conditions: list[ColumnElement[bool]]


class Dialect(abc.ABC):
    """One engine's way to be opened, written to and searched."""

    name: str
    #: Whether an engine that a host made for itself can serve the log as well.
    shares_engine: bool

    def __init__(self, engine: Engine, *, waiting_time: float) -> None:
        self.engine = engine
        self.waiting_time = waiting_time

    @classmethod
    @abc.abstractmethod
    def engine_settings(cls, url: URL, folder: str, *, waiting_time: float) -> dict[str, Any]:
        """Return the keywords of `create_engine` for the engine that reads."""

    @abc.abstractmethod
    def create(self, metadata: MetaData) -> None:
        """Create what is missing of the database; safe when several processes do so at once."""

    @abc.abstractmethod
    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a writing transaction and return its result once it is on disk.

        Raises Unavailable when that took longer than the waiting time, nothing being stored then; an error
        raised by `work` undoes what it wrote and nothing else.
        """

    @abc.abstractmethod
    def lost(self, error: BaseException) -> str:
        """Return a sentence that says why the database failed, for people."""

    @abc.abstractmethod
    def last_ids(self, connection: Connection, seconds: Sequence[int]) -> dict[int, int]:
        """Return the highest id in use of each second that has one."""

    @abc.abstractmethod
    def index_contents(self, connection: Connection, contents: Iterable[tuple[int, str]]) -> None:
        """Add texts to the search index, by row id."""

    @abc.abstractmethod
    def unindex_contents(self, connection: Connection, contents: Iterable[tuple[int, str]]) -> None:
        """Remove texts from the search index, by row id."""

    @abc.abstractmethod
    def clear_contents(self, connection: Connection) -> None:
        """Empty the search index."""

    @abc.abstractmethod
    def search_index(self, folded: str) -> SearchIndex | None:
        """Return where rows holding a case-folded keyword are found, or None when only a scan can tell."""

    @abc.abstractmethod
    def reset_after_fork(self) -> None:
        """Forget connections and threads that belong to the parent process."""

    @abc.abstractmethod
    def close(self) -> None:
        """Finish what was accepted and let go of the database."""

    def status(self) -> dict[str, Any]:
        """Return figures about the engine, for operators."""
        return {}

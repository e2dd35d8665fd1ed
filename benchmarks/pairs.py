"""A pair of databases with the same rows: the yardstick's and ours, both on one engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from sqlalchemy import create_engine

from logservice.store import dialects
from logservice.store.store import LogStore

from .yardstick import Yardstick

#: Where each engine's kind of pair is. Imported when it is asked for: a driver may not be installed.
ENGINES = {"sqlite": "benchmarks.sqlite_pair", "postgresql": "benchmarks.postgresql_pair"}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes on disk, indexes included."""

    yardstick: int
    ours: int


class Pair(ABC):
    """Two databases. `folder` is the instance folder of our service, `url` tells it its database."""

    folder: Path
    url: str

    @abstractmethod
    def create(self) -> None:
        """Make both databases anew, the yardstick's with its empty table, ours without any."""

    @abstractmethod
    def remove(self) -> None:
        """Remove both databases, if they are there."""

    @abstractmethod
    def take(self, other: Pair, *, copy: bool) -> None:
        """Become a copy of another pair, or take its databases over."""

    @abstractmethod
    def yardstick(self, *, writing: bool = False) -> Yardstick:
        """Connect to the yardstick as its gateway would, with the memory that our own connections get."""

    @abstractmethod
    def loading_yardstick(self) -> Yardstick:
        """Connect to the yardstick to fill it, which nothing measures."""

    @abstractmethod
    def settle(self) -> None:
        """Do to both what a database does by itself in time, so that neither is met in the middle of it."""

    @abstractmethod
    def sizes(self) -> Sizes:
        """Return how much room both take."""

    @abstractmethod
    def version(self) -> str:
        """Return name and version of the engine."""

    def open_store(self) -> LogStore:
        """Return the store on our database."""
        settings = dialects.engine_settings(self.url, str(self.folder))
        return LogStore(create_engine(**settings))


def opened(engine: str, folder: Path) -> AbstractContextManager[Callable[[str], Pair]]:
    """Give, while the engine runs, what returns a pair by its name; all of it lies in `folder`."""
    module = import_module(ENGINES[engine])
    given: AbstractContextManager[Callable[[str], Pair]] = module.opened(folder)
    return given

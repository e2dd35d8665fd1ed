"""Every test of the store runs on every engine, on a database of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, NullPool, create_engine

from logservice.store import dialects
from logservice.store.store import LogStore
from tests.clean_databases import CleanDatabases
from tests.conftest import Lend
from tests.postgresql_server import Server
from tests.store_rows import NOW, within
from tests.stores import open_log

OpenStore = Callable[..., LogStore]


def _opened(db_url: str, folder: Path) -> Iterator[OpenStore]:
    stores: list[LogStore] = []

    def open_store(*, waiting_time: float = 10.0, **settings: Any) -> LogStore:
        settings = {"clock": lambda: NOW} | settings
        stores.append(open_log(db_url, folder, waiting_time=waiting_time, **settings))
        return stores[-1]

    yield open_store
    for store in stores:
        within(20, store.close)


@pytest.fixture
def open_store(db_url: str, tmp_path: Path) -> Iterator[OpenStore]:
    """Open stores on the database of this test, as several processes would; `clock` says noon of the day."""
    yield from _opened(db_url, tmp_path)


@pytest.fixture
def store(open_store: OpenStore) -> LogStore:
    """An empty store."""
    return open_store()


@pytest.fixture(scope="module")
def module_store(lend: Lend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogStore]:
    """A store that the tests of a module share: they only read, or empty it first."""
    folder = tmp_path_factory.mktemp("store")
    with lend(folder) as url:
        for open_store in _opened(url, folder):
            yield open_store()


@pytest.fixture(scope="session")
def bare_databases(postgresql: Server) -> Iterator[CleanDatabases]:
    """Databases without tables on the PostgreSQL server."""
    with closing(CleanDatabases(postgresql, lambda url: None, name="bare")) as databases:
        yield databases


@pytest.fixture
def bare_url(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database without tables."""
    if engine_name == "sqlite":
        yield f"sqlite:///{tmp_path / 'logservice.db'}"
        return
    databases: CleanDatabases = request.getfixturevalue("bare_databases")
    with databases.lent() as url:
        yield url


@pytest.fixture
def open_bare(bare_url: str) -> Iterator[Any]:
    """Open stores on a database without tables, as several processes would."""
    stores: list[LogStore] = []

    def open_store(**settings: Any) -> LogStore:
        engine = create_engine(**dialects.engine_settings(bare_url, ""))
        stores.append(LogStore(engine, clock=lambda: NOW, **settings))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


@pytest.fixture
def engine(bare_url: str) -> Iterator[Engine]:
    """The same database without a store."""
    url = bare_url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, poolclass=NullPool)
    yield engine
    engine.dispose()

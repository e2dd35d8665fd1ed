"""Every test of the store runs on every engine, on a database of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine

from logservice.store import dialects
from logservice.store.store import LogStore
from tests.conftest import Lend
from tests.store_rows import NOW, within

OpenStore = Callable[..., LogStore]


def _opened(db_url: str) -> Iterator[OpenStore]:
    stores: list[LogStore] = []

    def open_store(*, waiting_time: float = 10.0, **settings: Any) -> LogStore:
        settings = {"clock": lambda: NOW} | settings
        engine = create_engine(**dialects.engine_settings(db_url, "", waiting_time=waiting_time))
        stores.append(LogStore(engine, waiting_time=waiting_time, **settings))
        return stores[-1]

    yield open_store
    for store in stores:
        within(20, store.close)


@pytest.fixture
def open_store(db_url: str) -> Iterator[OpenStore]:
    """Open stores on the database of this test, as several processes would; `clock` says noon of the day."""
    yield from _opened(db_url)


@pytest.fixture
def store(open_store: OpenStore) -> LogStore:
    """An empty store."""
    return open_store()


@pytest.fixture(scope="module")
def module_store(lend: Lend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogStore]:
    """A store that the tests of a module share: they only read, or empty it first."""
    with lend(tmp_path_factory.mktemp("store")) as url:
        for open_store in _opened(url):
            yield open_store()

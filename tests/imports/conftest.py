"""A log to import into, and the gateway to import from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from logservice.imports.databases import open_database
from logservice.imports.gateway import GatewayImport, Taken
from logservice.store import dialects
from logservice.store.store import LogStore
from tests.gateways.flavours import engine_of
from tests.rows import NOW

Import = Callable[..., list[Taken]]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogStore]:
    """An empty log in a file; it is shortly after the last row of the gateway."""
    engine = create_engine(**dialects.engine_settings(f"sqlite:///{tmp_path / 'log.db'}", ""))
    with closing(LogStore(engine, clock=lambda: NOW)) as store:
        yield store


@pytest.fixture
def gateway(gateway_url: str) -> Iterator[Engine]:
    """The empty database of a gateway."""
    engine = engine_of(gateway_url)
    yield engine
    engine.dispose()


@pytest.fixture
def take(log: LogStore, gateway_url: str) -> Import:
    """Import what is there and was not yet, and return what each batch brought."""

    def run(url: str = gateway_url, *, store: LogStore = log, anew: bool = False) -> list[Taken]:
        with closing(open_database(url)) as database:
            importing = GatewayImport(store, database, anew=anew)
            importing.accounts()
            return list(importing.rows())

    return run

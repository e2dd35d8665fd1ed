"""A log to import into, and the gateway to import from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
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
def open_log(tmp_path: Path) -> Iterator[Callable[[str], LogStore]]:
    """Open an empty log in a file of some name; it is shortly after the last row of the gateway."""
    with ExitStack() as stack:

        def open_one(name: str) -> LogStore:
            engine = create_engine(**dialects.engine_settings(f"sqlite:///{tmp_path / name}.db", ""))
            return stack.enter_context(closing(LogStore(engine, clock=lambda: NOW)))

        yield open_one


@pytest.fixture
def log(open_log: Callable[[str], LogStore]) -> LogStore:
    """An empty log."""
    return open_log("log")


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

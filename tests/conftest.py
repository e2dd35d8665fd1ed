"""A whole service for each test, on a database of its own."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, create_engine

from logservice import create_app
from logservice.store import accounts, dialects
from logservice.store.store import LogStore
from logservice.web.state import EXTENSION
from tests import clickhouse_engine
from tests.clean_databases import CleanDatabases
from tests.leaks import Listener, assert_nothing_leaked
from tests.mariadb_server import MariaDB
from tests.mariadb_server import private as private_mariadb
from tests.postgresql_server import Server, running
from tests.private_servers import missed, required
from tests.rows import KEYS, NOW, PEOPLE
from tests.store_rows import MIDNIGHT

# A shell that starts tests in the background has them ignore Ctrl-C, and so would all programs they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What `logservice.store.recent.begin` writes into a log without rows.
_BEGIN = "INSERT INTO log_usage_recent (second, writer, type, model_name) VALUES (-1, 0, 0, '')"

MakeApp = Callable[..., Flask]
Lend = Callable[[Path], AbstractContextManager[str]]


class Clock:
    """A clock that is set by hand, in epoch seconds."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them, except those that are meant for the tests."""
    for name in os.environ:
        if name.startswith("LOGSERVICE_") and not name.startswith("LOGSERVICE_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def nothing_secret_is_logged() -> Iterator[None]:
    """Have every test fail during which a key or a token is logged."""
    listener = Listener()
    logging.getLogger("logservice").addHandler(listener)
    yield
    logging.getLogger("logservice").removeHandler(listener)
    assert listener.heard == []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Say loudly and at the very end what did not run: a skip is easily overlooked."""
    yield
    for line in missed(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line, red=True, bold=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server for all tests of this process, started for the first that asks."""
    with required(running()) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB server for all tests of this process, started for the first that asks."""
    with required(private_mariadb()) as server:
        yield server


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[clickhouse_engine.Engine]:
    """ClickHouse's engine in this process."""
    with required(clickhouse_engine.running(tmp_path_factory.mktemp("clickhouse"))) as engine:
        yield engine


@pytest.fixture(scope="session")
def clean_databases(postgresql: Server) -> Iterator[CleanDatabases]:
    """Databases with tables and without rows on the PostgreSQL server."""
    with closing(CleanDatabases(postgresql, _create_tables, refill=_BEGIN)) as databases:
        yield databases


@pytest.fixture(scope="session")
def partitioned_databases(postgresql: Server) -> Iterator[CleanDatabases]:
    """The same in partitions; one is there for most rows, as a database whose tables change is not reused."""
    with closing(
        CleanDatabases(postgresql, _create_partitioned, name="partitioned", refill=_BEGIN)
    ) as databases:
        yield databases


def _create_tables(url: str) -> None:
    with closing(LogStore(create_engine(**dialects.engine_settings(url, "")))) as store:
        store.create()


def _create_partitioned(url: str) -> None:
    with closing(LogStore(create_engine(**dialects.engine_settings(url, "")))) as store:
        store.create(partitioned=True)
        store.write(lambda connection: store.dialect.make_room(connection, [MIDNIGHT]))


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine that a test runs on: every test that needs a database runs once on each.

    Those of `tests.store_rows.EVERY_WAY` run on "partitioned" as well, PostgreSQL with partitions.
    """
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def clean_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with tables and without rows: a copy takes less time than another."""
    path = tmp_path_factory.mktemp("clean") / "logservice.db"
    _create_tables(f"sqlite:///{path}")
    return path


# Not for the session: modules have an `engine_name` of their own, which would not end what another one began.
@pytest.fixture(scope="module")
def lend(engine_name: str, request: pytest.FixtureRequest) -> Lend:
    """Lend a database without rows; SQLite's is a file in the folder that is given.

    So are the metadata beside rows on ClickHouse, where the application looks for them by default.
    """
    clean: Path = request.getfixturevalue("clean_file")
    if engine_name == "sqlite":
        return lambda folder: nullcontext(f"sqlite:///{shutil.copy(clean, folder / 'logservice.db')}")
    if engine_name == "clickhouse":
        engine: clickhouse_engine.Engine = request.getfixturevalue("clickhouse")

        def lent(folder: Path) -> AbstractContextManager[str]:
            shutil.copy(clean, folder / "logservice.db")
            return engine.lent()

        return lent
    kind = "partitioned_databases" if engine_name == "partitioned" else "clean_databases"
    databases: CleanDatabases = request.getfixturevalue(kind)
    return lambda folder: databases.lent()


@pytest.fixture
def db_url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without rows."""
    with lend(tmp_path) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def gateway_engine(request: pytest.FixtureRequest) -> str:
    """The engine of a gateway: a test that asks for its database runs once on each."""
    name: str = request.param
    return name


@pytest.fixture
def gateway_url(gateway_engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database for `tests.gateways`, as an operator would write it."""
    with gateway_database(gateway_engine, request, tmp_path) as url:
        yield url


@contextmanager
def gateway_database(engine: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """Give the URL of an empty database on an engine; SQLite's is a file in the folder."""
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'gateway.db'}"
        return
    fixture = {"postgresql": "postgresql", "mysql": "mariadb"}[engine]
    server: Server | MariaDB = request.getfixturevalue(fixture)
    name = f"gateway_{uuid.uuid4().hex[:12]}"
    server.create_database(name)
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What `time.monotonic` says, as `monotonic.now`."""
    found = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: found.now)
    return found


@pytest.fixture
def clock() -> Clock:
    """The time of the service under test."""
    return Clock()


@pytest.fixture
def make_app(db_url: str, tmp_path: Path, clock: Clock) -> Iterator[MakeApp]:
    """Start the service on the database of the test: `make_app(MAX_BODY="1KB")`.

    None stands for the default of the service itself. All are stopped at the end, and have left no key and no
    token in their files.
    """
    with _apps(db_url, tmp_path, clock) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_app(lend: Lend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeApp]:
    """The same on one database for all tests of a module, none of which minds what another stored."""
    folder = tmp_path_factory.mktemp("shared")
    with lend(folder) as url, _apps(url, folder, Clock()) as make:
        yield make


@contextmanager
def _apps(db_url: str, folder: Path, clock: Clock) -> Iterator[MakeApp]:
    apps: list[Flask] = []

    def make(**settings: Any) -> Flask:
        defaults = {"DATABASE_URL": db_url, "TOKEN_RATE_LIMIT": "100000/minute"}
        given = {name: value for name, value in {**defaults, **settings}.items() if value is not None}
        config = {f"LOGSERVICE_{name}": value for name, value in given.items()}
        app = create_app(config, instance_path=str(folder))
        store_of(app).clock = clock
        apps.append(app)
        return app

    yield make
    for app in apps:
        store_of(app).close()
    assert_nothing_leaked(folder)


def store_of(app: Flask) -> LogStore:
    """Return the store of an application."""
    store: LogStore = app.extensions[EXTENSION].store
    return store


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """The service with its defaults, known to the people of `tests.rows`."""
    return with_everybody(make_app())


def with_everybody(app: Flask) -> Flask:
    """Return a service after the people of `tests.rows` were introduced to it."""
    store_of(app).write(introduce_everybody)
    return app


def introduce_everybody(connection: Connection) -> None:
    """Give the people of `tests.rows` their logins and keys."""
    for username, role, user_id, secret in PEOPLE:
        accounts.add_user(connection, username, role=role, user_id=user_id, secret=secret)
    for name, user_id, token_id, key in KEYS:
        accounts.add_token(connection, name, user_id=user_id, token_id=token_id, key=key)


@pytest.fixture
def store(app: Flask) -> LogStore:
    """The store under the service."""
    return store_of(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Somebody who calls the service; who it is, the headers of each call say."""
    return app.test_client()


@pytest.fixture
def client_with(app: Flask, make_app: MakeApp) -> Callable[..., FlaskClient]:
    """Call the same service with other settings: `client_with(LEGACY_STATUS="1")`."""
    return lambda **settings: make_app(**settings).test_client()

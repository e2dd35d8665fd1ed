"""The schema: new databases, old ones, and those from the future, whoever comes first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    NullPool,
    Table,
    Text,
    create_engine,
    insert,
    inspect,
    text,
)

from logservice.errors import Unavailable
from logservice.store import dialects, schema, search
from logservice.store.contents import digest
from logservice.store.migrations.versions import v0002_contents_and_spans as second_step
from logservice.store.store import LogStore
from tests.clean_databases import CleanDatabases
from tests.postgresql_server import Server
from tests.store_rows import (
    ALL,
    DAY,
    EVER,
    FIELDS,
    HOUR,
    MIDNIGHT,
    NOW,
    SITE,
    at_once,
    buckets,
    contents,
    make_record,
    raw_rows,
    rebuilt,
)

ROOT = Path(__file__).parents[2]


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


def bring_to(engine: Engine, version: str) -> None:
    """Bring a database up to a version, step by step from the first."""
    with engine.begin() as connection:
        config = schema._config()
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def version(engine: Engine) -> str | None:
    with engine.begin() as connection:
        found: str | None = connection.scalar(text("SELECT version_num FROM log_alembic_version"))
    return found


def description(engine: Engine) -> dict[str, Any]:
    """Return what an engine tells of its tables: columns, keys and indexes."""
    inspector = inspect(engine)
    tables = [name for name in inspector.get_table_names() if not name.startswith("log_contents_index")]
    return {name: _table(inspector, name) for name in sorted(tables)}


def _table(inspector: Any, name: str) -> tuple[Any, ...]:
    columns = [
        (column["name"], str(column["type"]), column["nullable"], str(column["default"]))
        for column in inspector.get_columns(name)
    ]
    indexes = [
        (
            index["name"],
            tuple(index.get("expressions", index["column_names"])),
            index["unique"],
            {option: str(value) for option, value in index.get("dialect_options", {}).items()},
        )
        for index in inspector.get_indexes(name)
        if index["name"] != "log_contents_search"
    ]
    return columns, inspector.get_pk_constraint(name)["constrained_columns"], sorted(indexes, key=str)


# New databases


def test_a_new_database_has_the_newest_version(open_bare: Any, engine: Engine) -> None:
    open_bare().create()

    assert version(engine) == schema._known()[0]


def test_the_steps_lead_to_what_a_new_database_has(
    open_bare: Any, bare_url: str, engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bring_to(engine, "head")
    step_by_step = description(engine)
    with engine.begin() as connection:
        for name in step_by_step:
            connection.execute(text(f"DROP TABLE {name}"))
        if engine.name == "postgresql":
            connection.execute(text("DROP SEQUENCE log_sequence"))

    open_bare().create()

    assert description(engine) == step_by_step
    assert {"log_records", "log_contents", "log_usage_owners", "log_alembic_version"} <= set(step_by_step)


def test_several_that_create_at_once_create_once(open_bare: Any, engine: Engine) -> None:
    stores = [open_bare() for _ in range(6)]

    assert at_once([store.create for store in stores]) == [None] * 6
    assert at_once([store.count_all for store in stores]) == [0] * 6
    assert version(engine) == schema._known()[0]


def test_processes_that_start_at_once_create_once(bare_url: str, tmp_path: Path, engine: Engine) -> None:
    environment = {"LOGSERVICE_DATABASE_URL": bare_url, "LOGSERVICE_INSTANCE_PATH": str(tmp_path)}
    call = [sys.executable, "-m", "logservice", "init-db"]
    running = [
        subprocess.Popen(call, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]

    for process in running:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output, errors) == (0, b"The database is ready.\n", b"")
    assert version(engine) == schema._known()[0]


def test_without_leave_to_create_nothing_is_created(open_bare: Any, engine: Engine) -> None:
    with pytest.raises(Unavailable, match=r"no tables.*init-db"):
        open_bare(auto_create=False).count_all()

    assert inspect(engine).get_table_names() == []


# Old databases

#: Rows of the first version: second, user, content. Two of an hour say the same.
OLD_ROWS = [
    (MIDNIGHT - DAY, "alice", "Straße 7"),
    (MIDNIGHT - DAY + 1, "alice", "needle"),
    (MIDNIGHT - DAY + 2, "bob", "needle"),
    (MIDNIGHT - HOUR, "bob", "needle"),
    (MIDNIGHT - HOUR, "bob", ""),
]


def fill_first_version(connection: Connection) -> None:
    """Put rows, their buckets, and usage kept from purged rows into tables of the first version."""
    metadata = MetaData()
    metadata.reflect(connection, only=lambda name, _: not name.startswith("log_content_index"))
    tables = metadata.tables
    hour = {"token_id": 0, "token_name": "", "model_name": "gpt-4o", "channel_id": 3, "group": "default"}
    for place, (second, username, content) in enumerate(OLD_ROWS):
        user = {"user_id": ord(username[0]), "username": username}
        row = {"id": (second << 21) + place, "type": 2, "quota": 10, "is_stream": True, "other": '{"a":1}'}
        connection.execute(insert(tables["log_records"]).values(**row, **user, **hour, content=content))
    kept = {"bucket": MIDNIGHT - 3 * DAY + 900, "retained": 1, "type": 2, "quota": 500, "requests": 5}
    alice = {"user_id": ord("a"), "username": "alice"}
    connection.execute(insert(tables["log_usage_hourly"]).values(**kept, **alice, **hour))
    _count_hours(connection, tables["log_usage_hourly"])


def _count_hours(connection: Connection, hourly: Table) -> None:
    hours = """
        INSERT INTO log_usage_hourly (bucket, retained, type, user_id, username, token_id, token_name,
            model_name, channel_id, "group", rows, requests, quota)
        SELECT (id >> 21) - (id >> 21) % 3600, 0, type, user_id, username, token_id, token_name,
            model_name, channel_id, "group", count(*), count(*), sum(quota) FROM log_records
        GROUP BY (id >> 21) - (id >> 21) % 3600, type, user_id, username, token_id, token_name,
            model_name, channel_id, "group"
    """
    connection.execute(text(hours.replace(" rows,", f" {hourly.c.rows.name},")))


@pytest.fixture(params=["written", "unwritten"])
def old(engine: Engine, request: pytest.FixtureRequest) -> Engine:
    """A database of the first version, with and without the table that tells the version."""
    bring_to(engine, "0001")
    with engine.begin() as connection:
        fill_first_version(connection)
        if engine.name == "sqlite":
            connection.execute(text("CREATE VIRTUAL TABLE log_content_index USING fts5(content, content='')"))
        if request.param == "unwritten":
            connection.execute(text("DROP TABLE log_alembic_version"))
    return engine


def found(store: LogStore, keyword: str) -> list[str]:
    return contents(store.search(SITE, ALL, EVER, keyword, fields=FIELDS, limit=100))


def test_an_old_database_is_brought_up_with_all_it_holds(
    old: Engine, open_bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FEW_ROWS", 0)
    store = open_bare()

    rows = raw_rows(store)

    assert [(row["created_at"], row["username"], row["content"]) for row in rows] == OLD_ROWS
    assert {(row["quota"], row["is_stream"], row["other"]) for row in rows} == {(10, True, '{"a":1}')}
    assert store.count_all() == 5
    figures = store.statistics(SITE, ALL, EVER, asked=2)
    assert (figures["quota"], figures["requests"]) == (550, 10)
    assert found(store, "STRASSE") == ["Straße 7"]
    assert found(store, "needle") == ["needle"] * 3
    assert buckets(store) == rebuilt(store)
    assert version(old) == schema._known()[0]


def test_what_is_written_afterwards_stands_beside_it(old: Engine, open_bare: Any) -> None:
    store = open_bare()

    store.record([make_record(content="needle", created_at=MIDNIGHT - HOUR + 5)])

    assert len(raw_rows(store)) == 6
    assert found(store, "needle") == ["needle"] * 4
    assert buckets(store) == rebuilt(store)


def test_several_that_bring_it_up_at_once_do_so_once(old: Engine, open_bare: Any) -> None:
    stores = [open_bare() for _ in range(4)]

    assert at_once([store.count_all for store in stores]) == [5] * 4
    assert len(raw_rows(stores[0])) == 5


def test_without_leave_to_create_it_stays_as_it_is(old: Engine, open_bare: Any) -> None:
    with pytest.raises(Unavailable, match=r"older schema.*init-db"):
        open_bare(auto_create=False).count_all()

    assert "log_usage_daily" in inspect(old).get_table_names()


def test_a_step_that_fails_leaves_it_as_it_was(
    old: Engine, open_bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = description(old)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(schema.command, "upgrade", lambda config, _: _up_to_half(config, fail))
        with pytest.raises(Unavailable, match="No space left"):
            open_bare().create()

    assert {name: table for name, table in description(old).items() if name != schema.VERSION_TABLE} == {
        name: table for name, table in before.items() if name != schema.VERSION_TABLE
    }
    assert len(raw_rows(open_bare())) == 5


def _up_to_half(config: Any, fail: Any) -> None:
    """Do what the second step does first, and then fail."""
    connection = config.attributes["connection"]
    connection.execute(text("ALTER TABLE log_records RENAME TO log_records_old"))
    connection.execute(text("DELETE FROM log_records_old"))
    fail()


def test_the_digest_of_the_step_is_that_of_the_store() -> None:
    """Texts that were copied must be found again by those who write the same."""
    plainly = int.from_bytes(blake2b("Straße".encode(), digest_size=8).digest(), "big", signed=True)
    assert second_step._digest("Straße") == digest("Straße") == plainly


# Vacuum, and partitions


def vacuum_settings(engine: Engine) -> dict[str, Any]:
    """Return the settings of all tables that have some."""
    query = "SELECT relname, reloptions FROM pg_class WHERE relkind = 'r' AND reloptions IS NOT NULL"
    with engine.begin() as connection:
        found = {row.relname: row.reloptions for row in connection.execute(text(query))}
    return {name: options for name, options in found.items() if name.startswith("log_")}


on_postgresql = pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True, scope="session")
OFTEN = ["autovacuum_vacuum_scale_factor=0.05", "autovacuum_vacuum_insert_scale_factor=0.05"]


@on_postgresql
@pytest.mark.parametrize("steps", [True, False])
def test_what_grows_for_ever_is_vacuumed_often_in_new_and_old_databases(
    open_bare: Any, engine: Engine, steps: bool
) -> None:
    if steps:
        bring_to(engine, "0004")
        assert vacuum_settings(engine) == {}

    open_bare().create()

    assert vacuum_settings(engine) == {"log_records": OFTEN, "log_contents": OFTEN}


@on_postgresql
def test_settings_that_somebody_chose_are_left_alone(open_bare: Any, engine: Engine) -> None:
    bring_to(engine, "0004")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE log_contents SET (autovacuum_enabled = off)"))

    open_bare().create()

    assert vacuum_settings(engine) == {"log_records": OFTEN, "log_contents": ["autovacuum_enabled=off"]}


@on_postgresql
def test_tables_with_partitions_have_the_columns_keys_and_indexes_of_plain_ones(
    open_bare: Any, engine: Engine
) -> None:
    bring_to(engine, "head")
    plain = description(engine)
    with engine.begin() as connection:
        for name in plain:
            connection.execute(text(f"DROP TABLE {name}"))
        connection.execute(text("DROP SEQUENCE log_sequence"))

    store = open_bare()
    store.create(partitioned=True)
    store.record([make_record()])

    found = description(engine)
    assert {name: table for name, table in found.items() if "_2023_11" not in name} == plain
    assert vacuum_settings(engine) == {"log_records_2023_11": OFTEN, "log_contents_2023_11": OFTEN}
    for name in ("log_records", "log_contents"):
        columns, key, indexes = found[f"{name}_2023_11"]
        assert (columns, key) == plain[name][:2]
        # All but the search index, which is told apart by its name elsewhere.
        others = [index[1:3] for index in indexes if "COALESCE" not in index[1][0]]
        assert sorted(others) == sorted(index[1:3] for index in plain[name][2])
        assert len(indexes) - len(others) == (name == "log_contents")


@on_postgresql
def test_steps_reach_the_partitions(open_bare: Any, engine: Engine) -> None:
    store = open_bare()
    store.create(partitioned=True)
    store.record([make_record(), make_record(created_at=MIDNIGHT - 40 * DAY)])
    with engine.begin() as connection:
        connection.execute(text("UPDATE log_alembic_version SET version_num = '0004'"))
        connection.execute(text("DROP TABLE log_usage_owners"))
        connection.execute(text("DELETE FROM log_usage_site WHERE span = 8 * 3600"))
        operations = Operations(MigrationContext.configure(connection))
        operations.add_column("log_records", Column("region", Text, nullable=False, server_default="west"))

    open_bare().create()
    store.record([make_record(created_at=MIDNIGHT - 80 * DAY)])

    assert version(engine) == schema._known()[0]
    with engine.begin() as connection:
        assert set(connection.scalars(text("SELECT region FROM log_records"))) == {"west"}
    assert (store.count_raw(), buckets(store)) == (3, rebuilt(store))


# Databases from the future


def test_a_newer_database_is_refused_with_both_versions(open_bare: Any, engine: Engine) -> None:
    open_bare().record([make_record()])
    with engine.begin() as connection:
        connection.execute(text("UPDATE log_alembic_version SET version_num = '9999'"))

    for call in (lambda store: store.create(), lambda store: store.count_all()):
        with pytest.raises(Unavailable, match=rf"9999.*{schema._known()[0]}"):
            call(open_bare())
    with pytest.raises(Unavailable, match="9999"):
        open_bare().record([make_record()])

    assert version(engine) == "9999"

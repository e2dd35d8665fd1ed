"""The schema: new databases, whoever comes first, and what only PostgreSQL has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    Column,
    Engine,
    Text,
    inspect,
    text,
)

from logservice.errors import Unavailable
from logservice.store import schema
from tests.store.versions import bring_to, description, version
from tests.store_rows import (
    DAY,
    MIDNIGHT,
    at_once,
    buckets,
    make_record,
    rebuilt,
)

ROOT = Path(__file__).parents[2]


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
    with pytest.raises(Unavailable, match=r"no (tables|log).*init-db"):
        open_bare(auto_create=False).count_all()

    assert inspect(engine).get_table_names() == []


def test_versions_that_could_not_be_read_once_are_read_again(
    open_bare: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """For want of files a folder looks empty to alembic."""
    store = open_bare()
    store.create()
    schema._known.cache_clear()
    with monkeypatch.context() as meanwhile:
        (tmp_path / "versions").mkdir()
        meanwhile.setattr(schema, "_MIGRATIONS", tmp_path)
        with pytest.raises(Unavailable, match="cannot be read"):
            store.record([make_record()])
    store.record([make_record()])


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
        connection.execute(text("DROP TABLE log_usage_recent"))
        connection.execute(text("DELETE FROM log_usage_site WHERE span = 8 * 3600"))
        operations = Operations(MigrationContext.configure(connection))
        operations.add_column("log_records", Column("region", Text, nullable=False, server_default="west"))

    open_bare().create()
    store.record([make_record(created_at=MIDNIGHT - 80 * DAY)])

    assert version(engine) == schema._known()[0]
    with engine.begin() as connection:
        assert set(connection.scalars(text("SELECT region FROM log_records"))) == {"west"}
    assert (store.count_raw(), buckets(store)) == (3, rebuilt(store))

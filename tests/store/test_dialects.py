"""The engines: how they are named, opened and read, whichever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, select

from logservice.errors import InvalidValue, Unavailable
from logservice.store import dialects, recording
from logservice.store.store import LogStore
from logservice.store.tables import records
from tests.store_rows import NOW, make_record, raw_rows, within


def test_a_reader_cannot_write(store: LogStore) -> None:
    store.record([make_record()])

    with pytest.raises(Unavailable, match=r"readonly|read-only"), store.reading() as connection:
        connection.exec_driver_sql("DELETE FROM log_records")

    assert len(raw_rows(store)) == 1


def test_a_reading_sees_one_state_however_long_it_takes(store: LogStore) -> None:
    store.record([make_record()])

    with store.reading() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM log_records")
        assert count.scalar() == 1
        within(5, lambda: store.record([make_record()]))
        assert connection.exec_driver_sql("SELECT count(*) FROM log_records").scalar() == 1

    assert store.count_all() == 2


def test_reading_goes_on_while_somebody_writes(store: LogStore) -> None:
    store.record([make_record()])

    def work(connection: Connection) -> int:
        recording.insert(connection, store.dialect, [make_record()], now=NOW)
        return within(5, store.count_all)

    assert store.write(work) == 1


def test_the_size_of_the_database_is_told(store: LogStore) -> None:
    store.create()
    before = sum(store.status().values())
    store.record([make_record(content="x" * 60_000) for _ in range(50)])
    store.record([make_record(content=f"{number} " * 20_000) for number in range(50)])

    assert 0 < before < sum(store.status().values())


def test_creating_again_and_at_once_changes_nothing(open_store: Any) -> None:
    store = open_store()
    store.record([make_record()])

    for _ in range(2):
        open_store().create()

    assert len(raw_rows(store)) == 1


# URLs


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "mysql://host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_name_of_the_setting(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="LOGSERVICE_DATABASE_URL"):
        dialects.engine_settings(url, str(tmp_path))


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:hunter2@host:port/db",
        "postgresql://logs:hunter2/db",
        "postgresql://logs:hunter2",
        "postgresql:/logs:hunter2/db",
        "postgresql://logs:h@unter2:5432x/db",
        "postgresql://hunter2@host:x/db",
        "postgresql://logs:h@unter2@host/db",
    ],
)
def test_a_refused_url_is_not_repeated_for_it_may_hold_a_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue) as caught:
        dialects.engine_settings(url, str(tmp_path))

    assert "unter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["log.db", "sub folder/日志 100%#1?.db"])
def test_a_relative_file_lies_in_the_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    escaped = name.replace("%", "%25").replace("#", "%23").replace("?", "%3F")
    for url in (f"sqlite:///file:{escaped}?uri=true",) if "?" in name else (f"sqlite:///{name}",):
        store = LogStore(create_engine(**dialects.engine_settings(url, str(tmp_path))), clock=lambda: NOW)
        store.record([make_record()])
        assert len(raw_rows(store)) == 1
        store.close()

    assert (tmp_path / name).is_file()


def test_the_older_name_of_postgresql_is_understood() -> None:
    for name in ("postgres", "postgresql", "postgresql+psycopg"):
        settings = dialects.engine_settings(f"{name}://somebody@host/log", "")
        assert settings["url"].drivername == "postgresql+psycopg"


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logservice.store.dialects.postgresql.find_spec", lambda name: None)

    with pytest.raises(InvalidValue, match=r"psycopg.*\[postgres\]"):
        dialects.engine_settings("postgresql://host/log", "")


def test_rows_along_an_index_are_bounded_at_both_ends(store: LogStore) -> None:
    bounded = select(records.c.id).where(
        records.c.user_id == 1, dialects.along_index(records.c.id, "low", "high")
    )
    sql = str(bounded.compile(dialect=store.engine.dialect))

    # What SQLAlchemy takes for a boolean it compares with 1, and SQLite then reads on to the end.
    assert not sql.endswith("= 1")

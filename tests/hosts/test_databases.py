"""Where the log of a guest lies: in the host's database where it can, in a file of its own where not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine, inspect, text

from logservice import LogService, Principal, current_logs
from logservice.errors import InvalidValue
from tests.answers import assert_ok
from tests.hosts.conftest import MakeHost

NewDatabase = Callable[[], str]


def let_in(_request: Any) -> Principal:
    return Principal(1, "root", "admin")


def with_database(host: Flask, **options: Any) -> SQLAlchemy:
    """Give a host a table of its own, and the log."""
    db = SQLAlchemy()

    class Order(db.Model):  # type: ignore[name-defined, misc]  # made at run time
        id = db.Column(db.Integer, primary_key=True)

    db.init_app(host)
    with host.app_context():
        db.create_all()
    LogService(host, db=db, authenticate=let_in, **options)
    return db


def record_and_read(host: Flask) -> int:
    with host.app_context():
        current_logs.record(content="from the host")
    total: int = assert_ok(host.test_client().get("/api/log/"))["total"]
    return total


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.startswith("log_")}


# -- SQLite ------------------------------------------------------------------------------------------------


def test_beside_a_file_of_the_host_the_log_has_one_of_its_own(make_host: MakeHost, tmp_path: Path) -> None:
    file = tmp_path / "data" / "host.db"
    file.parent.mkdir()
    host = make_host(SQLALCHEMY_DATABASE_URI=f"sqlite:///{file}")
    with_database(host)
    assert record_and_read(host) == 1
    assert tables(f"sqlite:///{file}") == {"order"}
    assert "log_records" in tables(f"sqlite:///{tmp_path / 'data' / 'logservice.db'}")


def test_the_file_of_the_host_keeps_its_ways(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'host.db'}")
    db = with_database(host)
    record_and_read(host)
    with host.app_context():
        assert db.session.execute(text("PRAGMA journal_mode")).scalar() == "delete"
        assert db.session.execute(text("PRAGMA auto_vacuum")).scalar() == 0


def test_recording_does_not_wait_for_what_the_host_has_begun(make_host: MakeHost, tmp_path: Path) -> None:
    """A write inside a transaction of the host would otherwise wait for itself."""
    host = make_host(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'host.db'}")
    db = with_database(host)
    with host.app_context():
        db.session.execute(text('INSERT INTO "order" (id) VALUES (1)'))
        current_logs.record(content="meanwhile")
        db.session.rollback()
        assert current_logs().store.count_raw() == 1


def test_two_hosts_with_one_instance_folder_share_a_log_unless_they_name_files(make_host: MakeHost) -> None:
    """As docs/embedding.md says."""
    files = ("shop-log.db", "office-log.db")
    shared = [make_host(), make_host()]
    parted = [make_host(LOGSERVICE_DATABASE_URL=f"sqlite:///{name}") for name in files]
    for host in [*shared, *parted]:
        host.instance_path = shared[0].instance_path
        LogService(host, authenticate=let_in)
    assert [record_and_read(host) for host in shared] == [1, 2]
    assert [record_and_read(host) for host in parted] == [1, 1]


def test_a_host_in_memory_leaves_the_log_to_its_settings(make_host: MakeHost) -> None:
    host = make_host(SQLALCHEMY_DATABASE_URI="sqlite://")
    with_database(host)
    assert record_and_read(host) == 1
    assert Path(host.instance_path, "logservice.db").exists()


def test_a_setting_says_where_the_file_lies(make_host: MakeHost, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.db"
    urls = {
        "SQLALCHEMY_DATABASE_URI": "sqlite:///host.db",
        "LOGSERVICE_DATABASE_URL": f"sqlite:///{file}",
    }
    host = make_host(**urls)
    with_database(host)
    assert record_and_read(host) == 1
    assert file.exists()


def test_on_sqlite_a_bind_is_the_file_of_the_log(make_host: MakeHost, tmp_path: Path) -> None:
    binds = {"logs": f"sqlite:///{tmp_path / 'logs.db'}"}
    host = make_host(SQLALCHEMY_DATABASE_URI="sqlite:///host.db", SQLALCHEMY_BINDS=binds)
    with_database(host, bind_key="logs")
    assert record_and_read(host) == 1
    assert "log_records" in tables(binds["logs"])
    assert sorted(path.name for path in Path(host.instance_path).glob("*.db")) == ["host.db"]


def test_no_file_is_made_until_something_is_written_or_asked(host: Flask) -> None:
    LogService(host)
    assert not Path(host.instance_path).exists()


def test_a_host_without_flask_sqlalchemy_may_take_it_up_later(make_host: MakeHost) -> None:
    host = make_host(SQLALCHEMY_DATABASE_URI="sqlite:///host.db")
    LogService(host, authenticate=let_in)
    SQLAlchemy().init_app(host)
    assert record_and_read(host) == 1


def test_an_unknown_bind_is_refused_by_name(make_host: MakeHost) -> None:
    with pytest.raises(InvalidValue, match="bind_key: SQLALCHEMY_BINDS of this application has no 'nowhere'"):
        with_database(make_host(SQLALCHEMY_DATABASE_URI="sqlite:///host.db"), bind_key="nowhere")
    with pytest.raises(InvalidValue, match="bind_key: needs db"):
        LogService(bind_key="nowhere")


def test_a_bind_in_memory_is_refused(make_host: MakeHost) -> None:
    host = make_host(SQLALCHEMY_DATABASE_URI="sqlite:///host.db", SQLALCHEMY_BINDS={"logs": "sqlite://"})
    with pytest.raises(InvalidValue, match="SQLite needs a file"):
        with_database(host, bind_key="logs")


# -- PostgreSQL --------------------------------------------------------------------------------------------


def test_on_postgresql_the_engine_of_the_host_serves(make_host: MakeHost, new_databases: NewDatabase) -> None:
    url = new_databases()
    host = make_host(SQLALCHEMY_DATABASE_URI=url)
    db = with_database(host)
    assert record_and_read(host) == 1
    with host.app_context():
        assert current_logs().store.engine is db.engine
        names = tables(url)
        db.drop_all()
        db.engine.dispose()
    assert "log_records" in names
    assert names - ours(names) == {"order"}
    assert tables(url) == ours(names)


def test_on_postgresql_a_bind_has_the_log_and_the_default_database_none_of_it(
    make_host: MakeHost, new_databases: NewDatabase
) -> None:
    default, logs = new_databases(), new_databases()
    host = make_host(SQLALCHEMY_DATABASE_URI=default, SQLALCHEMY_BINDS={"logs": logs})
    db = with_database(host, bind_key="logs")
    assert record_and_read(host) == 1
    with host.app_context():
        assert current_logs().store.engine is db.engines["logs"]
        for engine in db.engines.values():
            engine.dispose()
    assert tables(default) == {"order"}
    assert tables(logs) == ours(tables(logs))


def test_a_transaction_that_the_host_undoes_keeps_what_was_recorded(
    make_host: MakeHost, new_databases: NewDatabase
) -> None:
    host = make_host(SQLALCHEMY_DATABASE_URI=new_databases())
    db = with_database(host)
    with host.app_context():
        db.session.execute(text('INSERT INTO "order" (id) VALUES (1)'))
        current_logs.record(content="meanwhile")
        db.session.rollback()
        assert current_logs().store.count_raw() == 1
        assert db.session.execute(text('SELECT count(*) FROM "order"')).scalar() == 0
        db.session.remove()
        db.engine.dispose()

"""A table or a server that is gone, or locked for too long: a clear answer, and nothing half-written."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from logservice import create_app
from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.conftest import introduce_everybody, store_of
from tests.failing import READS, assert_failing, everything
from tests.postgresql_server import private, required
from tests.rows import GATEWAY, NOW, ROOT, contents, make_event, post
from tests.store_rows import SQL_ENGINES

on_postgresql = pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True, scope="session")


@SQL_ENGINES
@pytest.mark.parametrize(
    "table", ["log_users", "log_usage_hourly", "log_usage_site", "log_contents", "log_records"]
)
def test_a_table_that_is_missing_fails_the_whole_post(
    client: FlaskClient, store: LogStore, table: str
) -> None:
    post(client, make_event(content="before"))
    store.write(lambda connection: connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO away"))
    answer = client.post("/api/log/", json=make_event(username="carol", user_id=0), headers=GATEWAY)
    assert_error(answer, 503, "")
    store.write(lambda connection: connection.exec_driver_sql(f"ALTER TABLE away RENAME TO {table}"))
    assert store.count_raw() == store.count_all() == 1
    assert "carol" not in str(everything(store))


@contextmanager
def locked(db_url: str) -> Iterator[None]:
    """Keep everybody else from the rows, as a change of the table by another program does."""
    with psycopg.connect(db_url) as other:
        other.execute("LOCK TABLE log_records IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


@on_postgresql
def test_rows_locked_too_long_are_told_and_work_again_afterwards(
    client: FlaskClient, client_with: Any, db_url: str
) -> None:
    post(client, make_event(content="before"))
    impatient = client_with(WAITING_TIME="0.5")
    with locked(db_url):
        started = time.monotonic()
        answer = impatient.post("/api/log/", json=make_event(content="refused"), headers=GATEWAY)
        assert time.monotonic() - started < 5
        assert_error(answer, 503, "locked")
        assert int(answer.headers["Retry-After"]) > 0
        assert_error(impatient.get("/api/log/", headers=ROOT), 503, "获取日志失败")
    post(impatient, make_event(content="after"))
    assert contents(assert_ok(client.get("/api/log/", headers=ROOT))["items"]) == ["after", "before"]


@on_postgresql
def test_a_short_lock_is_waited_for(client: FlaskClient, store: LogStore, db_url: str) -> None:
    post(client, make_event(content="before"))
    with psycopg.connect(db_url) as other:
        other.execute("LOCK TABLE log_records IN ACCESS EXCLUSIVE MODE")
        release = threading.Timer(0.5, other.rollback)
        release.start()
        post(client, make_event(content="after"))
        release.join()
    assert store.count_raw() == 2


def test_a_server_that_stops_is_told_and_used_again_once_it_is_back(tmp_path: Path) -> None:
    with required(private()) as server:
        server.create_database("log")
        app = create_app({"LOGSERVICE_DATABASE_URL": server.url("log")}, instance_path=str(tmp_path))
        store = store_of(app)
        store.clock = lambda: float(NOW)
        store.write(introduce_everybody)
        client = app.test_client()
        post(client, make_event(content="before"))
        before = everything(store)

        server.stop(immediate=True)
        for _ in range(2):
            assert_failing(client)
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503

        server.start()
        assert everything(store) == before
        post(client, make_event(content="after"))
        assert contents(assert_ok(client.get("/api/log/", headers=ROOT))["items"]) == ["after", "before"]
        store.close()


@on_postgresql
def test_a_server_that_answers_is_ready(client: FlaskClient) -> None:
    assert client.get("/readyz").status_code == 200
    for path, who, _ in READS:
        assert client.get(path, headers=who).status_code == 200

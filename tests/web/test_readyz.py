"""`/readyz`: the database answers and is of this version. `/healthz`: the process answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from logservice.store import schema
from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.rows import GATEWAY, ROOT, contents, make_event, post
from tests.store_rows import change

VERSION = "UPDATE log_alembic_version SET version_num = '{}'"


@pytest.mark.parametrize(
    ("spoil", "mend", "reason"),
    [
        (VERSION.format("9999"), VERSION.format(schema.newest_version()), "schema version 9999"),
        (VERSION.format("0004"), VERSION.format(schema.newest_version()), "older schema"),
        *(
            (f"ALTER TABLE {table} RENAME TO away", f"ALTER TABLE away RENAME TO {table}", "no tables yet")
            for table in ("log_records", "log_usage_site", "log_marks")
        ),
    ],
    ids=["newer", "older", "without rows", "without buckets", "without marks"],
)
def test_a_database_that_cannot_serve_is_told_with_the_reason(
    client: FlaskClient, client_with: Any, store: LogStore, spoil: str, mend: str, reason: str
) -> None:
    old: FlaskClient = client_with(LEGACY_STATUS="1")
    assert assert_ok(client.get("/readyz")) == assert_ok(old.get("/readyz")) == "ok"
    change(store, spoil)
    for one in (client, old):
        answer = one.get("/readyz")
        assert_error(answer, 503, reason)
        assert int(answer.headers["Retry-After"]) > 0
        assert assert_ok(one.get("/healthz")) == "ok"
    change(store, mend)
    assert assert_ok(client.get("/readyz")) == "ok"


def test_what_a_newer_program_has_brought_up_is_not_read_or_written_any_more(
    client: FlaskClient, store: LogStore
) -> None:
    post(client, make_event(content="before"))
    change(store, VERSION.format("9999"))

    answer = client.post("/api/log/", json=make_event(content="after"), headers=GATEWAY)
    assert_error(answer, 503, "schema version 9999")
    assert int(answer.headers["Retry-After"]) > 0
    assert_error(client.get("/api/log/", headers=ROOT), 503, "获取日志失败")

    change(store, VERSION.format(schema.newest_version()))
    assert contents(assert_ok(client.get("/api/log/", headers=ROOT))["items"]) == ["before"]


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")
def test_tables_that_may_not_be_created_are_missed(make_app: Any, tmp_path: Path) -> None:
    client = make_app(AUTO_CREATE="0", DATABASE_URL=f"sqlite:///{tmp_path / 'new.db'}").test_client()
    assert_error(client.get("/readyz"), 503, f"there is no log in {tmp_path / 'new.db'}: put it back")
    assert not (tmp_path / "new.db").exists()
    assert assert_ok(client.get("/healthz")) == "ok"

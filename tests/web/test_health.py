"""`GET /api/log/health`: a report, whatever it says."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from logservice.store import checking
from logservice.store.store import LogStore
from logservice.store.tables import hourly
from tests.answers import assert_ok
from tests.rows import NOW, ROOT, make_event, post
from tests.store_rows import SQL_ENGINES
from tests.stores import rows_apart


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no slow machine decide how much is looked at."""
    monkeypatch.setattr(checking, "SECONDS", 60)


def health(client: FlaskClient) -> dict[str, Any]:
    data = assert_ok(client.get("/api/log/health", headers=ROOT))
    assert isinstance(data, dict)
    return data


def test_an_empty_log_is_sound(client: FlaskClient) -> None:
    data = health(client)

    assert (data["sound"], data["rows"], data["oldest"], data["types"]) == (True, 0, None, [])
    assert data["database_bytes"] > 0


def test_it_says_what_the_log_holds(client: FlaskClient, store: LogStore) -> None:
    post(client, make_event(created_at=NOW - 86400, type="error"), *[make_event(created_at=NOW)] * 3)

    data = health(client)

    assert data["sound"]
    assert data["schema_version"] == store.version()
    assert (data["rows"], data["oldest"], data["newest"]) == (4, NOW - 86400, NOW)
    kinds = [(one["type"], one["name"], one["rows"]) for one in data["types"]]
    assert kinds == [(2, "consume", 3), (4, "error", 1)]
    # Where there are no sums beside the rows, there is nothing to compare.
    compared = 2 if rows_apart(store) is None else 0
    assert (data["full"], data["days"], data["days_checked"]) == (False, compared, compared)
    if rows_apart(store) is not None:
        assert data["table_bytes"]["log_records"] > 0
        return
    # A file has a write-ahead log and a disk; of a server only its tables are known.
    assert (data["wal_bytes"] is None) == (data["free_bytes"] is None) == bool(data["table_bytes"])


def test_it_says_how_long_rows_are_kept(client_with) -> None:
    data = health(client_with(RETENTION="error=14d,consume=90d", MAX_DB_SIZE="10GB"))

    kept = [(one["type"], one["name"], one["seconds"]) for one in data["retention"]]
    assert kept == [(4, "error", 14 * 86400), (2, "consume", 90 * 86400)]
    assert data["max_db_size"] == 10**10


@SQL_ENGINES
def test_drift_is_told_in_a_success(client: FlaskClient, store: LogStore) -> None:
    post(client, make_event(created_at=NOW, quota=5, model_name="gpt-4o"))
    store.write(lambda connection: connection.execute(update(hourly).values(quota=7)))

    data = health(client)

    assert not data["sound"]
    # The hour is not what its rows sum up to, nor are the owners' eight hours what the hours do.
    assert data["drift"]["count"] == 2
    of_hour, of_owners = data["drift"]["first"]
    assert (of_hour["expected"]["quota"], of_hour["found"]["quota"]) == (5, 7)
    assert of_hour["dimensions"]["model_name"] == "gpt-4o"
    assert (of_owners["expected"]["quota"], of_owners["found"]["quota"]) == (7, 5)
    list(store.rebuild())
    assert health(client)["sound"]

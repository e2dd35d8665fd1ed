"""`DELETE /api/log/`: old rows go, and their usage with them."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from logservice.store.retention import Purge
from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.rows import NOW, ROOT, contents, make_event, post

REQUIRED = "target timestamp is required"
#: An hour that is over, so that its buckets are whole.
HOUR = NOW - NOW % 3600 - 3600


def purge(client: FlaskClient, target: Any, **query: Any) -> int:
    """Delete as the administrator and return how many rows that were."""
    answer = client.delete("/api/log/", query_string={"target_timestamp": target, **query}, headers=ROOT)
    data = assert_ok(answer)
    assert type(data) is int
    return data


def left(client: FlaskClient) -> list[str]:
    """Return the contents of what is left, newest first."""
    data = assert_ok(client.get("/api/log/?page_size=100", headers=ROOT))
    assert data["total"] == len(data["items"])
    return contents(data["items"])


def quota(client: FlaskClient, **query: Any) -> int:
    """Return the quota of the statistics."""
    data = assert_ok(client.get("/api/log/stat", query_string=query, headers=ROOT))
    assert isinstance(data, dict)
    return int(data["quota"])


def test_rows_strictly_older_are_deleted_and_counted(client: FlaskClient) -> None:
    for place, content in enumerate(("older", "just older", "exactly", "newer")):
        post(client, make_event(created_at=HOUR + place, content=content))
    assert purge(client, HOUR + 2) == 2
    assert left(client) == ["newer", "exactly"]
    assert purge(client, HOUR + 2) == 0


def test_deleting_goes_on_in_batches_over_hours_and_days(client: FlaskClient, store: LogStore) -> None:
    old = [make_event(created_at=HOUR - 5000 * place, content=f"old {place}") for place in range(40)]
    post(client, *old, *[make_event(created_at=HOUR - 7000)] * 4100, make_event(content="new"))
    assert purge(client, HOUR + 1) == 4140
    assert left(client) == ["new"]
    assert store.count_raw() == 1


@pytest.mark.parametrize("target", [None, "", "0", "abc", "NaN", "1e9", "0x10", "-1", "12,5", "\0", "-0.5"])
def test_a_target_that_is_missing_zero_or_no_number_deletes_nothing(
    client: FlaskClient, target: str | None
) -> None:
    post(client, make_event(created_at=HOUR))
    query = {} if target is None else {"target_timestamp": target}
    message = assert_error(client.delete("/api/log/", query_string=query, headers=ROOT), 400, REQUIRED)
    assert message == REQUIRED
    assert left(client) == ["answered"]


@pytest.mark.parametrize("target", [NOW + 2, NOW + 10**6, 2**32 - 1, 2**32, 99_999_999_999])
def test_a_target_in_the_future_deletes_nothing(client: FlaskClient, target: int) -> None:
    post(client, make_event())
    answer = client.delete(f"/api/log/?target_timestamp={target}", headers=ROOT)
    message = assert_error(answer, 400, "target_timestamp: ")
    assert message == f"target_timestamp: is in the future; now is {NOW}"
    assert left(client) == ["answered"]


@pytest.mark.parametrize("target", [f"{HOUR}000", 10**11, 10**18])
def test_a_target_in_milliseconds_deletes_nothing(client: FlaskClient, target: Any) -> None:
    post(client, make_event(created_at=HOUR))
    answer = client.delete(f"/api/log/?target_timestamp={target}", headers=ROOT)
    assert_error(answer, 400, "milliseconds")
    assert left(client) == ["answered"]


def test_a_fraction_is_floored(client: FlaskClient) -> None:
    post(client, make_event(created_at=HOUR, content="exactly"), make_event(created_at=HOUR - 1))
    assert purge(client, f"{HOUR}.9") == 1
    assert left(client) == ["exactly"]


@pytest.mark.parametrize("query", ["typ=2", "before=5", "p=1", "user_id=7", "model_name=x", "Type=2"])
def test_an_unknown_parameter_is_refused_by_name(client: FlaskClient, query: str) -> None:
    post(client, make_event(created_at=HOUR))
    answer = client.delete(f"/api/log/?target_timestamp={NOW - 1}&{query}", headers=ROOT)
    assert_error(answer, 400, query.partition("=")[0])
    assert left(client) == ["answered"]


@pytest.mark.parametrize(
    ("asked", "rest"),
    [
        ("2", ["note", "failure"]),
        ("consume", ["note", "failure"]),
        ("错误", ["note", "call"]),
        ("7", ["note", "failure", "call"]),
        ("0", []),
        ("", []),
    ],
)
def test_a_type_narrows_what_is_deleted(client: FlaskClient, asked: str, rest: list[str]) -> None:
    post(
        client,
        make_event(created_at=HOUR, content="call"),
        make_event(created_at=HOUR + 1, content="failure", type="error"),
        make_event(created_at=HOUR + 2, content="note", type="manage"),
    )
    assert purge(client, NOW, type=asked) == 3 - len(rest)
    assert left(client) == rest


@pytest.mark.parametrize("query", ["type=8", "type=abc", "keep_usage=maybe"])
def test_what_cannot_be_read_deletes_nothing(client: FlaskClient, query: str) -> None:
    post(client, make_event(created_at=HOUR))
    answer = client.delete(f"/api/log/?target_timestamp={NOW}&{query}", headers=ROOT)
    assert_error(answer, 400, query.partition("=")[0])
    assert left(client) == ["answered"]


@pytest.mark.parametrize("keep", [{}, {"keep_usage": "0"}, {"keep_usage": ""}], ids=str)
def test_the_usage_of_deleted_rows_leaves_the_statistics(client: FlaskClient, keep: dict[str, str]) -> None:
    post(client, make_event(created_at=HOUR, quota=100), make_event(created_at=NOW - 5, quota=1))
    purge(client, HOUR + 1, **keep)
    assert quota(client) == 1
    assert quota(client, end_timestamp=HOUR + 3599) == 0


def test_usage_can_be_kept(client: FlaskClient) -> None:
    post(client, make_event(created_at=HOUR, quota=100), make_event(created_at=NOW - 5, quota=1))
    assert purge(client, HOUR + 1, keep_usage=1) == 1
    assert left(client) == ["answered"]
    assert quota(client) == 101
    assert quota(client, end_timestamp=HOUR + 3599) == 100


def test_kept_usage_before_the_target_leaves_with_the_next_purge(client: FlaskClient) -> None:
    day = 86400
    for age, amount in ((3, 100), (2, 10), (1, 1)):
        post(client, make_event(created_at=HOUR - age * day, quota=amount))
    assert purge(client, HOUR - day + 1, keep_usage=1) == 3
    assert quota(client) == 111
    assert purge(client, HOUR - 2 * day + 3600) == 0
    assert quota(client) == 1


def test_a_second_purge_is_refused_while_one_is_running(client: FlaskClient, store: LogStore) -> None:
    post(client, *[make_event(created_at=HOUR)] * 5)
    running = store.purge(Purge(HOUR + 1), batch=3)
    assert next(running) == 3
    answer = client.delete(f"/api/log/?target_timestamp={HOUR + 1}", headers=ROOT)
    assert_error(answer, 409, "purge")
    assert len(left(client)) == 2
    assert sum(running) == 2
    assert purge(client, HOUR + 1) == 0


def test_a_purge_that_was_cut_short_makes_way_for_the_next(client: FlaskClient, store: LogStore) -> None:
    post(client, *[make_event(created_at=HOUR)] * 5)
    running = store.purge(Purge(HOUR + 1), batch=3)
    next(running)
    running.close()
    assert purge(client, HOUR + 1) == 2


def test_the_mark_of_a_killed_purge_expires(client: FlaskClient, store: LogStore, clock) -> None:
    post(client, *[make_event(created_at=HOUR)] * 5)
    killed = store.purge(Purge(HOUR + 1), batch=3)
    next(killed)
    clock.now += 3600
    assert purge(client, HOUR + 1) == 2


# Progress


def test_without_a_purge_none_is_running(client: FlaskClient) -> None:
    assert assert_ok(client.get("/api/log/purge", headers=ROOT)) == {"running": False}


def test_how_far_a_purge_is_can_be_asked(client: FlaskClient, store: LogStore) -> None:
    post(client, *[make_event(created_at=HOUR, type="error")] * 5)
    running = store.purge(Purge(HOUR + 1, log_type=4, keep_usage=True), batch=3)
    assert next(running) == 3
    assert assert_ok(client.get("/api/log/purge", headers=ROOT)) == {
        "running": True,
        "before": HOUR + 1,
        "type": 4,
        "keep_usage": True,
        "deleted": 3,
        "to_go": 2,
        "started_at": NOW,
        "updated_at": NOW,
    }
    assert sum(running) == 2
    assert assert_ok(client.get("/api/log/purge", headers=ROOT)) == {"running": False}


def test_a_purge_that_was_killed_is_not_running_once_its_mark_expired(
    client: FlaskClient, store: LogStore, clock
) -> None:
    post(client, *[make_event(created_at=HOUR)] * 5)
    killed = store.purge(Purge(HOUR + 1), batch=3)
    next(killed)
    clock.now += 61
    assert assert_ok(client.get("/api/log/purge", headers=ROOT)) == {"running": False}

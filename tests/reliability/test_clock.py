"""A clock that steps back and forward by an hour: ids stay unique, sums right, and nothing waits for it."""

from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient

from logservice.errors import Conflict
from logservice.store import ids, marks
from logservice.store.holding import Holding
from logservice.store.maintenance import Maintenance
from logservice.store.policy import parse
from logservice.store.store import LogStore
from tests.answers import assert_ok
from tests.conftest import Clock
from tests.rows import GATEWAY, NOW, ROOT
from tests.store_rows import raw_rows

HOUR = 3600
#: What the clock says one after the other: set back, set forward by two hours, and put right.
STEPS = (0, -HOUR, -HOUR, HOUR, HOUR, 0)


def post_now(client: FlaskClient, content: str, **headers: str) -> object:
    """Post an event that has the time of the service, and return the answer."""
    body = {"content": content, "username": "alice"}
    return assert_ok(client.post("/api/log/", data=json.dumps(body), headers={**GATEWAY, **headers}))


def test_each_row_has_its_own_id_and_the_time_that_it_was(
    client: FlaskClient, store: LogStore, clock: Clock
) -> None:
    for number, step in enumerate(STEPS):
        clock.now = NOW + step
        post_now(client, f"text {number}")
    rows = raw_rows(store)
    assert len({row["id"] for row in rows}) == len(STEPS)
    assert sorted(ids.second_of(row["id"]) for row in rows) == sorted(NOW + step for step in STEPS)
    # Of those of one second, the later one has the higher id.
    assert [row["content"] for row in rows] == [f"text {number}" for number in (1, 2, 0, 5, 3, 4)]
    assert store.check(full=True).complete().is_sound


def test_a_repeat_is_known_whatever_the_clock_says(
    client: FlaskClient, store: LogStore, clock: Clock
) -> None:
    key = {"Idempotency-Key": "once"}
    for step in STEPS:
        clock.now = NOW + step
        assert post_now(client, "the same", **key) == {"accepted": 1, "rejected": []}
    assert store.count_raw() == 1


def test_live_rows_and_statistics_show_what_was_posted_before_the_clock_was_set_back(
    client: FlaskClient, clock: Clock
) -> None:
    post_now(client, "before")
    clock.now -= HOUR
    post_now(client, "after")
    page = assert_ok(client.get("/api/log/?after=0", headers=ROOT))
    assert [row["content"] for row in page["items"]] == ["before", "after"]
    assert assert_ok(client.get("/api/log/stat", headers=ROOT))["requests"] == 2


def test_maintenance_that_was_killed_does_not_stand_in_the_way_for_the_hour_that_the_clock_is_set_back(
    store: LogStore, clock: Clock
) -> None:
    rules = parse("consume=1h")
    Holding(store, "maintenance").__enter__()
    clock.now -= HOUR
    assert list(Maintenance(store, rules).run()) == []


def test_maintenance_that_is_under_way_keeps_others_out_once_it_has_said_so_again(
    store: LogStore, clock: Clock
) -> None:
    def hold(owner: str) -> None:
        now = int(clock())
        store.write(lambda connection: marks.hold(connection, "maintenance", owner, now=now))

    hold("who is under way")
    clock.now -= HOUR
    hold("who is under way")
    with pytest.raises(Conflict):
        hold("another")

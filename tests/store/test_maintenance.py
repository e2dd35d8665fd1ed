"""Rows go when their time is over; their usage stays, and their space comes back."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from logservice.errors import Conflict
from logservice.store import marks, policy
from logservice.store.maintenance import Maintenance
from logservice.store.store import LogStore
from tests.store_rows import (
    ALL,
    DAY,
    EVER,
    HOUR,
    NOW,
    SITE,
    buckets,
    make_record,
    page,
    raw_rows,
    rebuilt,
)

RULES = policy.parse("consume=2d,error=1d")


def fill(store: LogStore) -> None:
    """Record an hourly call, error and top-up of four days."""
    for hour in range(4 * 24):
        moment = NOW - hour * HOUR
        store.record([make_record(created_at=moment, type=kind, quota=5) for kind in (1, 2, 4)])


def kinds(store: LogStore) -> dict[int, int]:
    found = [row["type"] for row in raw_rows(store)]
    return {kind: found.count(kind) for kind in sorted(set(found))}


def quota(store: LogStore) -> int:
    return store.statistics(SITE, ALL, EVER, asked=2)["quota"]


def test_rows_of_a_type_are_kept_as_long_as_its_rule_says(store: LogStore) -> None:
    fill(store)

    assert sum(Maintenance(store, RULES).run()) == 96 - 49 + 96 - 25

    assert kinds(store) == {1: 96, 2: 49, 4: 25, 5: 1}
    assert page(store).total == 171
    assert buckets(store) == rebuilt(store)


@pytest.mark.parametrize(("keep_usage", "left"), [(True, 96 * 5), (False, 49 * 5)])
def test_usage_stays_unless_it_is_dropped(store: LogStore, keep_usage: bool, left: int) -> None:
    fill(store)

    list(Maintenance(store, RULES, keep_usage=keep_usage).run())

    assert quota(store) == left


def test_what_was_done_is_noted_once(store: LogStore) -> None:
    fill(store)
    list(Maintenance(store, RULES).run())
    list(Maintenance(store, RULES).run())

    [note] = [row for row in raw_rows(store) if row["type"] == 5]
    assert note["content"] == "retention: deleted 47 consume, 71 error rows; their usage was kept"
    assert json.loads(note["other"])["deleted"] == {"consume": 47, "error": 71}


def test_what_is_due_is_counted_by_type(store: LogStore) -> None:
    fill(store)

    due = Maintenance(store, RULES).due()

    assert [(one.rule.name, one.rows) for one in due] == [("consume", 47), ("error", 71)]
    assert 0 < due[0].bytes < due[1].bytes < store.status()["database_bytes"]
    assert kinds(store) == {1: 96, 2: 96, 4: 96}


def test_an_empty_log_has_nothing_due(store: LogStore) -> None:
    assert [(one.rows, one.bytes) for one in Maintenance(store, RULES).due()] == [(0, 0), (0, 0)]
    assert list(Maintenance(store, RULES).run()) == []


def test_a_second_one_does_nothing(store: LogStore) -> None:
    fill(store)
    with closing(Maintenance(store, RULES).run()) as first:
        next(first)

        with pytest.raises(
            Conflict, match=r"maintenance is running already.* or in a minute if it was killed"
        ):
            list(Maintenance(store, RULES).run())

        list(first)
    assert list(Maintenance(store, RULES).run()) == []


def test_one_that_runs_again_does_nothing_beside_another(store: LogStore) -> None:
    again = Maintenance(store, RULES)
    list(again.run())
    fill(store)
    with closing(Maintenance(store, RULES).run()) as other:
        next(other)

        with pytest.raises(
            Conflict, match=r"maintenance is running already.* or in a minute if it was killed"
        ):
            next(again.run())


def test_the_mark_of_one_that_was_killed_expires(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    killed = Maintenance(store, RULES).run()
    next(killed)

    monkeypatch.setattr(store, "clock", lambda: NOW + marks.LIFETIME + 1)

    assert sum(Maintenance(store, RULES).run()) > 0


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_space_goes_back_to_the_file_system(store: LogStore, tmp_path: Path) -> None:
    store.record(
        [
            make_record(created_at=NOW - DAY + number % HOUR, other={"note": "x" * 400})
            for number in range(6000)
        ]
    )
    store.close()
    size = (tmp_path / "logservice.db").stat().st_size

    list(Maintenance(store, policy.parse("consume=1h")).run())
    store.close()

    assert (tmp_path / "logservice.db").stat().st_size < size / 5

"""The size cap: the oldest rows of types that have a rule go until the log is small enough, and no more."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from sqlalchemy import text

from logservice.store import policy
from logservice.store.maintenance import Maintenance
from logservice.store.store import LogStore
from logservice.store.tables import metadata
from tests.store_rows import ALL, EVER, HOUR, NOW, SITE, buckets, make_record, raw_rows, rebuilt

#: Rules by which no row is old enough to go.
RULES = policy.parse("consume=900d,error=900d")
WORDS = "x" * 600
#: Bytes of a page, which the row about what went may begin: it is written when all is small enough.
NOTE = 4096


@pytest.fixture
def store(store: LogStore, engine_name: str) -> LogStore:
    """An empty store whose files are as small as new ones.

    A database of PostgreSQL is used again, and its GIN indexes stay as large as earlier tests made them.
    """
    if engine_name == "postgresql":
        names = ", ".join(table.name for table in metadata.sorted_tables)
        store.write(lambda connection: connection.execute(text(f"TRUNCATE {names}")))
    return store


def fill(store: LogStore, hours: Iterable[tuple[int, int]], *, kinds: tuple[int, ...] = (2, 4)) -> None:
    """Record so many rows of each type so many hours ago."""
    for hour, rows in hours:
        moment = NOW - hour * HOUR
        store.record(
            [
                make_record(created_at=moment, type=kind, quota=5, other={"words": WORDS, "row": row})
                for row in range(rows)
                for kind in kinds
            ]
        )


def evenly(hours: int = 48, rows: int = 60) -> list[tuple[int, int]]:
    return [(hour, rows) for hour in range(hours, 0, -1)]


def purge_to(
    store: LogStore, cap: int, *, rules: str = "consume=900d,error=900d", **how: bool
) -> Maintenance:
    done = Maintenance(store, policy.parse(rules), cap=cap, **how)
    list(done.run())
    return done


def moments(store: LogStore, kind: int) -> list[int]:
    return [row["created_at"] for row in raw_rows(store) if row["type"] == kind]


def test_the_oldest_rows_go_until_the_log_takes_less_than_nine_tenths(store: LogStore) -> None:
    fill(store, evenly())
    before, cap = raw_rows(store), store.size() * 2 // 3

    assert purge_to(store, cap).excess is None

    assert store.size() <= cap * 0.9 + NOTE
    left = [row for row in raw_rows(store) if row["type"] != 5]
    assert left == before[-len(left) :]
    assert len(left) > len(before) * 0.4, "far more went than had to"
    assert buckets(store) == rebuilt(store)


def test_at_rest_nothing_more_goes(store: LogStore) -> None:
    fill(store, evenly())
    cap = store.size() * 2 // 3
    purge_to(store, cap)
    left = raw_rows(store)

    for _ in range(3):
        assert list(Maintenance(store, RULES, cap=cap).run()) == []

    assert raw_rows(store) == left


def test_a_log_below_its_cap_is_left_alone(store: LogStore) -> None:
    fill(store, evenly(8))

    assert list(Maintenance(store, RULES, cap=store.size() + 2**20).run()) == []
    assert Maintenance(store, RULES, cap=store.size() + 2**20).due()[2:] == []


def test_rows_of_types_without_a_rule_stay_and_what_is_too_much_is_told(store: LogStore) -> None:
    fill(store, evenly(24), kinds=(1, 2))

    done = purge_to(store, 100_000, rules="consume=900d")

    assert (len(moments(store, 1)), len(moments(store, 2))) == (24 * 60, 0)
    assert done.excess is not None
    assert (done.excess.cap, done.excess.taken > 100_000) == (100_000, True)


def test_rows_of_the_hour_that_is_not_over_stay(store: LogStore) -> None:
    fill(store, [(3, 50), (0, 50)])

    purge_to(store, 1000)

    assert set(moments(store, 2)) == {NOW}


@pytest.mark.parametrize("large", [40, 5])
def test_rows_may_be_spread_very_unevenly(store: LogStore, large: int) -> None:
    fill(store, [(hour, 1500 if hour == large else 3) for hour in range(48, 0, -1)])
    cap = store.size() * 4 // 5

    purge_to(store, cap)

    assert store.size() <= cap * 0.9 + NOTE
    assert set(moments(store, 2)) == {NOW - hour * HOUR for hour in range(1, large)}


def test_rules_come_first_and_the_cap_takes_what_is_left_to_take(store: LogStore) -> None:
    fill(store, evenly())
    cap = store.size() // 2

    due = Maintenance(store, policy.parse("consume=900d,error=1d"), cap=cap).due()
    done = purge_to(store, cap, rules="consume=900d,error=1d")

    by_age, by_size = due[1].rows, sum(one.rows for one in due if one.by_size)
    assert (due[0].rows, by_age) == (0, 24 * 60)
    assert by_size > 0
    [note] = [row for row in raw_rows(store) if row["type"] == 5]
    other = json.loads(note["other"])
    assert note["content"].startswith("retention: deleted 1,440 error rows; size cap: deleted ")
    assert other["deleted"] == {"error": by_age}
    assert sum(other["deleted_by_size"].values()) == pytest.approx(by_size, rel=0.3)
    assert done.excess is None


@pytest.mark.parametrize(("keep_usage", "is_kept"), [(True, True), (False, False)])
def test_usage_stays_unless_it_is_dropped(store: LogStore, keep_usage: bool, is_kept: bool) -> None:
    fill(store, evenly())

    purge_to(store, store.size() // 2, keep_usage=keep_usage)

    quota = store.statistics(SITE, ALL, EVER, asked=2)["quota"]
    assert (quota == 48 * 60 * 5) == is_kept
    assert quota >= len(moments(store, 2)) * 5


def test_free_room_in_files_does_not_count(store: LogStore) -> None:
    fill(store, evenly())
    full = store.size()

    list(Maintenance(store, policy.parse("consume=1d,error=1h")).run())

    assert store.size() < full * 0.6


def test_a_size_is_about_what_the_files_take_while_nothing_was_deleted(store: LogStore) -> None:
    fill(store, evenly())

    assert store.size() == pytest.approx(store.status()["database_bytes"], rel=0.25)

"""What is ClickHouse's own: ids without a sequence, blocks that come again, rows that are hidden first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logservice.archives.archiving import Archiving
from logservice.errors import InvalidValue, Unavailable
from logservice.store import ids, records
from logservice.store.clickhouse import ids as process_ids
from logservice.store.clickhouse.store import ClickHouseStore
from logservice.store.filters import Filters
from logservice.store.idempotency import IdempotencyKey
from logservice.store.queries import Query
from logservice.store.retention import Purge
from logservice.store.usage import Grouping
from tests.store.conftest import OpenStore
from tests.store_rows import (
    ALL,
    DAY,
    EVER,
    MIDNIGHT,
    NOW,
    SITE,
    at_once,
    contents,
    make_record,
    make_records,
    raw_rows,
    record,
    row_ids,
)

#: The beginning of the month that follows the one that `cut_short` hides.
FIRST_KEPT = 1_696_118_400
pytestmark = pytest.mark.parametrize(
    "engine_name", [pytest.param("clickhouse", marks=pytest.mark.clickhouse)], indirect=True, scope="session"
)

KEY = IdempotencyKey.of("gateway", "/api/log/", "once", b"body")


@pytest.fixture
def store(open_store: OpenStore) -> ClickHouseStore:
    found = open_store()
    assert isinstance(found, ClickHouseStore)
    return found


def same_usage(store: ClickHouseStore) -> tuple[Any, ...]:
    """Return all that statistics and usage say, less the rows that are there."""
    grouping = Grouping(("username", "model_name", "type"), interval="day")
    groups = store.usage(Query(SITE, ALL, EVER), grouping).groups
    return (
        store.statistics(SITE, ALL, EVER, asked=2),
        [{name: value for name, value in group.items() if name != "rows"} for group in groups],
    )


# -- ids ---------------------------------------------------------------------------------------------------


def test_two_processes_give_ids_of_their_own(open_store: OpenStore) -> None:
    stores = [open_store(), open_store()]

    outcomes = at_once([lambda one=one: one.record(make_records(300, days=1)) for one in stores * 4])

    assert outcomes == [""] * 8
    found = row_ids(raw_rows(stores[0]))
    assert len(set(found)) == len(found) == 2400


def test_ids_go_up_within_a_second(store: ClickHouseStore) -> None:
    for place in range(5):
        store.record([make_record(created_at=NOW, content=str(place))])

    assert contents(raw_rows(store)) == list("01234")


def test_a_second_of_long_ago_goes_on_where_another_process_of_that_number_stopped(
    open_store: OpenStore,
) -> None:
    first = open_store()
    first.record([make_record(content="first"), make_record(content="second")])
    first.close()

    second = open_store(clock=lambda: NOW + DAY)
    second.record([make_record(content="third")])

    rows = raw_rows(second)
    assert contents(rows) == ["first", "second", "third"]
    assert {row["id"] >> process_ids.SLICE.bit_length() - 1 & 15 for row in rows} == {15}


def test_a_second_ahead_goes_on_as_well(open_store: OpenStore) -> None:
    first = open_store()
    first.record([make_record(created_at=NOW + 3600, content="early")])
    first.close()

    later = open_store(clock=lambda: NOW + 3600)
    later.record([make_record(created_at=NOW + 3600, content="in time")])

    assert contents(raw_rows(later)) == ["early", "in time"]


def test_a_lease_that_was_not_renewed_goes_to_another_process(open_store: OpenStore) -> None:
    late = NOW + process_ids.LEASE_SECONDS + 1
    clock = [NOW]
    first, second = open_store(clock=lambda: clock[0]), open_store(clock=lambda: late)
    first.record([make_record(created_at=NOW, content="a")])
    second.record([make_record(created_at=NOW, content="b")])
    clock[0] = late

    first.record([make_record(created_at=NOW, content="c")])

    rows = raw_rows(first)
    assert sorted(contents(rows)) == ["a", "b", "c"]
    assert len(set(row_ids(rows))) == 3


def test_more_processes_than_there_are_numbers_are_told(open_store: OpenStore) -> None:
    for _ in range(process_ids.PROCESSES):
        open_store().record([make_record()])

    with pytest.raises(Unavailable, match="all 16 numbers"):
        open_store().record([make_record()])


def test_a_second_that_is_full_is_told(store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_ids, "SLICE", 2)

    with pytest.raises(InvalidValue, match=f"second {MIDNIGHT} has no room"):
        store.record([make_record()] * 3)

    assert raw_rows(store) == []


# -- blocks ------------------------------------------------------------------------------------------------


@pytest.fixture
def commits_fail(store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let blocks be stored, and the transactions of the metadata around them be lost."""
    send = store._recorder.send

    def send_and_die(block: Any) -> None:
        send(block)
        raise OSError("the process was killed")

    monkeypatch.setattr(store._recorder, "send", send_and_die)
    yield
    monkeypatch.undo()


@pytest.mark.usefixtures("commits_fail")
def test_a_post_whose_answer_was_lost_is_stored_once(store: ClickHouseStore, open_store: OpenStore) -> None:
    new = [make_record(content=str(place), created_at=MIDNIGHT - place * 40 * DAY) for place in range(3)]
    with pytest.raises(Unavailable):
        store.record(new, key=KEY, answer="three")
    assert len(raw_rows(store)) == 3

    # As it is sent again, after a restart.
    assert open_store().record(new, key=KEY, answer="three") == "three"

    assert len(raw_rows(store)) == 3


@pytest.mark.usefixtures("commits_fail")
def test_whoever_was_new_in_a_post_that_was_lost_shares_no_id_with_others(
    store: ClickHouseStore, open_store: OpenStore
) -> None:
    new = [make_record(username="newcomer", content="of the newcomer")]
    with pytest.raises(Unavailable):
        store.record(new, key=KEY, answer="one")

    other = open_store()
    other.record([make_record(username="somebody else", content="of somebody else")])
    other.record(new, key=KEY, answer="one")

    owners = {row["content"]: (row["user_id"], row["username"]) for row in raw_rows(other)}
    assert len({user_id for user_id, _ in owners.values()}) == len(owners) == 2
    assert owners["of the newcomer"][1] == "newcomer"


def test_a_block_may_span_many_years_and_seconds(store: ClickHouseStore) -> None:
    month = 31 * DAY
    new = [make_record(created_at=MIDNIGHT - place % 300 * month - place) for place in range(30_000)]

    store.record(new)
    store.record(new[:10])

    assert store.count_all() == 30_010
    assert len({*row_ids(raw_rows(store))}) == 30_010


def test_posts_beside_others_that_are_tried_again_are_stored_once(store: ClickHouseStore) -> None:
    """Those who are new have to be registered first, in the middle of what others are stored with."""
    names = [f"new {place // 4}" if place % 4 == 0 else "alice" for place in range(200)]

    outcomes = at_once(
        [
            lambda some=names[start::8]: [store.record([make_record(username=name)]) for name in some]
            for start in range(8)
        ]
    )

    assert [outcome for some in outcomes for outcome in some] == [""] * 200
    assert store.count_all() == 200


def test_where_an_answer_is_lost_nobody_of_its_block_is_told_that_all_is_well(
    store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.record([make_record(content="before")])
    insert = store.sessions.insert

    def insert_and_lose(*block: Any, **how: Any) -> None:
        insert(*block, **how)
        raise store.sessions.driver.OperationalError("the connection was lost")

    with monkeypatch.context() as patched:
        patched.setattr(store.sessions, "insert", insert_and_lose)
        posts = [lambda place=place: store.record([make_record(content=str(place))]) for place in range(6)]
        outcomes = at_once(posts)

    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert sorted(contents(raw_rows(store))) == [*"012345", "before"]


def test_a_post_too_large_for_a_second_leaves_its_room_to_others(
    store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_ids, "SLICE", 2)
    with pytest.raises(InvalidValue, match="no room"):
        store.record([make_record(created_at=NOW)] * 3)

    store.record([make_record(created_at=NOW)] * 2)

    assert store.count_all() == 2


def test_posts_of_many_threads_gather_in_few_blocks(store: ClickHouseStore) -> None:
    at_once([lambda: store.record([make_record()]) for _ in range(40)])

    found = store.sessions.rows(
        "SELECT max(max_block_number) FROM system.parts WHERE active AND database = currentDatabase()"
    )
    assert store.count_all() == 40
    assert 0 < found[0][0] < 40


def test_what_is_refused_leaves_nothing_of_its_neighbours_twice(store: ClickHouseStore) -> None:
    good = [lambda place=place: store.record([make_record(content=str(place))]) for place in range(10)]
    other = IdempotencyKey.of("gateway", "/api/log/", "once", b"another body")
    store.record([make_record(content="keyed")], key=KEY)

    outcomes = at_once([*good, lambda: store.record([make_record(content="conflict")], key=other)])

    assert sorted(contents(raw_rows(store))) == sorted([*map(str, range(10)), "keyed"])
    assert outcomes[:10] == [""] * 10


# -- purges ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_type", [None, 2])
def test_usage_that_is_kept_stays_what_it_was(store: ClickHouseStore, log_type: int | None) -> None:
    store.record(make_records(500, days=90))
    before, rows = same_usage(store), raw_rows(store)
    edge = MIDNIGHT - 20 * DAY + 1234
    old = [row for row in rows if row["created_at"] < edge and log_type in (None, row["type"])]

    deleted = sum(store.purge(Purge(edge, log_type, keep_usage=True), batch=50))

    assert deleted == len(old) > 100
    assert same_usage(store) == before
    assert raw_rows(store) == [row for row in rows if row not in old]


def test_a_row_that_comes_back_takes_its_usage_with_it(store: ClickHouseStore) -> None:
    store.record(make_records(20, days=5))
    before, rows = same_usage(store), raw_rows(store)
    sum(store.purge(Purge(MIDNIGHT - 2 * DAY, keep_usage=True)))
    gone = [row for row in rows if row["created_at"] < MIDNIGHT - 2 * DAY]
    back = [records.from_mapping(_exported(row), now=NOW, keep_id=True) for row in gone]

    store.write(lambda connection: store.insert(connection, back))

    assert same_usage(store) == before
    assert raw_rows(store) == rows


def _exported(row: dict[str, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if name not in ("use_time", "channel")}


@pytest.fixture
def cut_short(store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Purge half of the log, and die once its rows are hidden."""
    store.record(make_records(200, days=60))

    def die() -> None:
        raise OSError("the process was killed")

    purge = store.purge(Purge(MIDNIGHT - 30 * DAY))
    with monkeypatch.context() as patched:
        # Once before anything is hidden, to clear up after others.
        deletions = iter([lambda: None])
        patched.setattr(store, "delete_hidden", lambda: next(deletions, die)())
        with pytest.raises(OSError, match="killed"):
            list(purge)


@pytest.mark.usefixtures("cut_short")
def test_rows_of_a_purge_that_was_killed_are_gone_for_all_who_ask(
    store: ClickHouseStore, open_store: OpenStore
) -> None:
    asked = open_store()
    edge = min(row["created_at"] for row in raw_rows(store))

    total = asked.page(SITE, ALL, EVER, fields=["created_at"], page=1, page_size=100).total
    exported = sum(map(len, asked.batches(Query(SITE, ALL, EVER), fields=["id"])))
    assert total == asked.count_all() == exported < 200
    [(stored,)] = store.sessions.rows("SELECT count() FROM log_records")
    assert stored == 200
    assert asked.statistics(SITE, Filters(), ids.between(0, edge - 1), asked=2)["requests"] == 0
    assert edge >= FIRST_KEPT


@pytest.mark.usefixtures("cut_short")
def test_the_next_purge_deletes_what_the_last_one_hid(store: ClickHouseStore) -> None:
    left = store.count_all()

    assert sum(store.purge(Purge(MIDNIGHT - 60 * DAY))) == 0

    [(stored,)] = store.sessions.rows("SELECT count() FROM log_records")
    assert stored == left < 200


def test_nothing_is_stored_among_rows_that_are_being_deleted(store: ClickHouseStore) -> None:
    store.record(make_records(200, days=60))
    oldest = min(row["created_at"] for row in raw_rows(store))
    running = store.purge(Purge(MIDNIGHT - 30 * DAY), batch=10)
    next(running)

    with pytest.raises(Unavailable, match="being deleted"):
        store.record([make_record(created_at=oldest - 1)])

    record(store, {"created_at": MIDNIGHT, "content": "of today"})
    assert "of today" in contents(raw_rows(store))
    list(running)


def test_a_purge_that_was_taken_for_killed_hides_nothing_that_came_since(open_store: OpenStore) -> None:
    now = [float(NOW)]
    store, other = open_store(clock=lambda: now[0]), open_store(clock=lambda: now[0])
    store.record(make_records(100, days=20, type=2, quota=10))
    before = store.statistics(SITE, ALL, EVER, asked=2)["quota"]
    oldest = min(row["created_at"] for row in raw_rows(store))
    running = store.purge(Purge(MIDNIGHT, keep_usage=True), batch=10)
    next(running)
    now[0] += 61
    other.record([make_record(created_at=oldest, quota=1000)])

    list(running)

    assert other.statistics(SITE, ALL, EVER, asked=2)["quota"] == before + 1000


@pytest.mark.usefixtures("cut_short")
def test_rows_that_a_killed_purge_hid_are_deleted_once_they_are_in_the_way(
    store: ClickHouseStore,
) -> None:
    left = store.count_all()

    store.record([make_record(created_at=MIDNIGHT - 58 * DAY, content="late")])

    assert store.count_all() == left + 1
    assert contents(raw_rows(store)).count("late") == 1
    [(stored,)] = store.sessions.rows("SELECT count() FROM log_records")
    assert stored == left + 1


def test_it_is_told_that_rows_are_not_archived_or_backed_up(store: ClickHouseStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="not archived"):
        Archiving(store, tmp_path, before=NOW)
    with pytest.raises(InvalidValue, match="BACKUP"):
        store.back_up(tmp_path / "copy", lambda: None)


def test_whole_months_go_as_partitions(store: ClickHouseStore) -> None:
    store.record([make_record(created_at=MIDNIGHT - place * DAY) for place in range(100)])
    first_of_month = 1_698_796_800  # 2023-11-01

    assert sum(store.purge(Purge(first_of_month))) == sum(
        MIDNIGHT - place * DAY < first_of_month for place in range(100)
    )

    found = store.sessions.rows(
        "SELECT DISTINCT partition FROM system.parts WHERE active AND database = currentDatabase()"
    )
    assert found == [("202311",)]

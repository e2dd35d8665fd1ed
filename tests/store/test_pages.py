"""Pages: put one after the other they are the whole, newest first, under every filter and at any depth."""

from __future__ import annotations

import random
from typing import Any

import pytest

from logservice.store import ids
from logservice.store.filters import FILTERS, Filters
from logservice.store.ids import IdRange
from logservice.store.pages import FIELDS, Cursor
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from tests.store_rows import (
    ALL,
    ALL_WAYS,
    DAY,
    EVER,
    HOUR,
    MIDNIGHT,
    SITE,
    Row,
    contents,
    fits,
    make_record,
    make_records,
    page,
    raw_rows,
    record,
    row_ids,
    rows_once,
    whole,
)

#: Values of each filter: common, rare, and without a row.
VALUES: dict[str, list[Any]] = {
    "type": [2, 5, 3],
    "types": [(2, 4), (7,)],
    "user_id": [101, 9],
    "username": ["bob", "%ob", "nobody", "%"],
    "token_name": ["laptop", "", "%p"],
    "model_name": ["gpt-4o", "gpt%", "rare", "none%"],
    "model_names": [("claude", "rare"), ("none",)],
    "channel": [0, 2, 77],
    "group": ["vip", "none"],
    "request_id": ["r-1", "r-rare", ""],
    "ip": ["10.0.0.1", "10.9.9.9", ""],
    "some_type": [(5, 3)],
    "some_user_id": [(101, 9)],
    "some_username": [("bob", "nobody", "%")],
    "some_token_id": [(0, 7)],
    "some_token_name": [("laptop", "")],
    "some_model_name": [("rare",)],
    "some_channel_id": [(2, 77)],
    "some_group": [("vip", "none")],
}
SCOPES = [
    SITE,
    Scope.user(101),
    Scope.user(0),
    Scope.user(9),
    Scope.tokens([7]),
    Scope.tokens([7, 8]),
    Scope.tokens([]),
]


@pytest.fixture(scope="module")
def busy(module_store: LogStore) -> LogStore:
    """A store with busy days, one hour that is very full, and a few rows scattered over a year."""
    if not raw_rows(module_store):
        module_store.record(make_records(900, user_id=101))
        module_store.record(make_records(300, seed=1, days=400))
        full = random.Random(2)
        module_store.record(
            [
                make_record(created_at=MIDNIGHT - DAY + full.randrange(HOUR), model_name="full")
                for _ in range(400)
            ]
        )
        rare = [{"created_at": MIDNIGHT - day * DAY - 77} for day in (1, 30, 31, 200, 399)]
        module_store.record(
            [make_record(model_name="rare", request_id="r-rare", **fields) for fields in rare]
        )
    return module_store


def model(store: LogStore, **query: Any) -> list[Row]:
    """Return the rows of a query, newest first, by plain Python."""
    return [row for row in rows_once(store) if fits(row, **query)]


def test_every_filter_is_tried_here() -> None:
    assert set(VALUES) == {entry.name for entry in FILTERS if entry.column not in ("id", "content_id")}


@ALL_WAYS
@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in VALUES.items() for value in values], ids=str
)
def test_pages_concatenated_equal_the_whole_for_every_filter(busy: LogStore, name: str, value: Any) -> None:
    filters = Filters({name: value})
    expected = row_ids(model(busy, filters=filters))

    for size in (max(1, len(expected) // 7), random.Random(name).randrange(150, 300), 2000):
        assert row_ids(whole(busy, size=size, filters=filters)) == expected


@pytest.mark.parametrize("scope", SCOPES, ids=str)
@pytest.mark.parametrize("size", [23, 100, 2000])
def test_pages_concatenated_equal_the_whole_for_every_scope(busy: LogStore, scope: Scope, size: int) -> None:
    assert row_ids(whole(busy, size=size, scope=scope)) == row_ids(model(busy, scope=scope))


@ALL_WAYS
@pytest.mark.parametrize(
    ("start", "end"),
    [
        (MIDNIGHT - 2 * HOUR + 60, MIDNIGHT - 60),
        (MIDNIGHT - DAY - HOUR + 1, MIDNIGHT - DAY + HOUR - 2),
        (MIDNIGHT - HOUR, MIDNIGHT - 1),
        (MIDNIGHT - DAY - 40, MIDNIGHT - 40),
        (MIDNIGHT - 2 * DAY, 0),
        (0, MIDNIGHT - 10 * DAY - 100),
        (MIDNIGHT - DAY + 600, MIDNIGHT - DAY + 1200),
    ],
)
@pytest.mark.parametrize("values", [{}, {"username": "alice"}, {"ip": "10.0.0.1"}], ids=str)
def test_pages_concatenated_equal_the_whole_for_ranges(
    busy: LogStore, start: int, end: int, values: dict[str, Any]
) -> None:
    query = {"filters": Filters(values), "span": ids.between(start, end)}

    assert row_ids(whole(busy, size=17, **query)) == row_ids(model(busy, **query))


def test_a_range_over_two_partial_hours_is_paged_right(store: LogStore) -> None:
    minutes = (1, 30, 59, 60, 90, 118, 119)
    store.record([make_record(created_at=MIDNIGHT + 60 * minute, content=str(minute)) for minute in minutes])
    span = ids.between(MIDNIGHT + 60, MIDNIGHT + 118 * 60)

    assert contents(whole(store, size=2, span=span)) == ["118", "90", "60", "59", "30", "1"]


@ALL_WAYS
@pytest.mark.parametrize("seed", range(6))
def test_any_page_under_random_queries_is_the_slice_of_the_whole(busy: LogStore, seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(25):
        names = draw.sample(list(VALUES), draw.randrange(3))
        query = {
            "filters": Filters({name: draw.choice(VALUES[name]) for name in names}),
            "scope": draw.choice(SCOPES),
            "span": draw.choice([EVER, _random_span(draw)]),
        }
        expected = row_ids(model(busy, **query))
        size = draw.randrange(1, 101)
        number = draw.randrange(1, len(expected) // size + 3)
        found = page(busy, page=number, page_size=size, **query)

        assert found.total == len(expected), query
        assert row_ids(found.rows) == expected[(number - 1) * size : number * size], (query, number, size)


def _random_span(draw: random.Random) -> IdRange:
    start = MIDNIGHT - draw.randrange(3 * DAY)
    return ids.between(start, start + draw.choice([0, 100, HOUR - 1, 2 * HOUR - 100, DAY, 2 * DAY]))


@pytest.mark.parametrize("number", [2, 10**6, 2**53, 2**63 - 1])
def test_a_page_past_the_end_is_empty_with_the_true_total(store: LogStore, number: int) -> None:
    record(store, {}, {}, {})

    found = page(store, page=number)

    assert (found.rows, found.total) == ([], 3)


def test_the_page_of_an_empty_log_is_empty(store: LogStore) -> None:
    assert (page(store).rows, page(store).total) == ([], 0)


@pytest.mark.parametrize("together", [True, False])
def test_rows_of_one_second_stand_in_reverse_order_of_arrival(store: LogStore, together: bool) -> None:
    events = [{"content": str(number)} for number in range(50)]
    for batch in [events] if together else [[event] for event in events]:
        record(store, *batch)

    assert contents(whole(store, size=7)) == [str(number) for number in reversed(range(50))]


@ALL_WAYS
def test_rows_that_arrive_late_take_their_place_in_time(store: LogStore) -> None:
    record(store, *({"created_at": MIDNIGHT + second, "content": str(second)} for second in (5, 0, 9, 3)))

    assert contents(page(store).rows) == ["9", "5", "3", "0"]


# Fields


def test_derived_fields_are_given_as_asked_for_and_in_that_order(store: LogStore) -> None:
    record(store, {"use_time_ms": 2999, "channel_id": 4})

    (row,) = page(store, fields=["use_time", "channel", "created_at", "use_time_ms"]).rows

    assert list(row.items()) == [
        ("use_time", 2),
        ("channel", 4),
        ("created_at", MIDNIGHT),
        ("use_time_ms", 2999),
    ]


def test_every_field_comes_back_as_it_was_recorded(store: LogStore) -> None:
    sent = {
        "type": 4,
        "user_id": 3,
        "username": "al",
        "token_id": 9,
        "token_name": "t",
        "model_name": "m",
        "channel_id": 4,
        "channel_name": "c",
        "group": "g",
        "quota": -5,
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "cached_tokens": 3,
        "use_time_ms": 1500,
        "first_token_ms": 200,
        "is_stream": True,
        "ip": "::1",
        "request_id": "r",
        "content": "一二三 😀",
        "other": '{"a":[1,null]}',
    }
    record(store, {**sent, "created_at": MIDNIGHT})

    (row,) = page(store).rows

    derived = {"id": ids.first_id(MIDNIGHT), "created_at": MIDNIGHT, "use_time": 1, "channel": 4}
    assert row == {**sent, **derived}
    assert row["is_stream"] is True
    assert set(FIELDS) == set(row)


# Cursors


def beside(store: LogStore, cursor: Cursor, *, limit: int = 20, **query: Any) -> Any:
    query = {"filters": ALL, "scope": SITE, "span": EVER} | query
    return store.beside(query["scope"], query["filters"], query["span"], cursor, fields=FIELDS, limit=limit)


def model_beside(rows: list[Row], cursor: Cursor, limit: int) -> list[Row]:
    """Return the rows beside a cursor out of all rows of the query, newest first."""
    inside = [
        row
        for row in rows
        if (cursor.before is None or row["id"] < cursor.before)
        and (cursor.after is None or row["id"] > cursor.after)
    ]
    return inside[:limit] if cursor.before is not None else inside[-limit:]


@pytest.mark.parametrize("seed", range(6))
def test_rows_beside_a_cursor_are_those_of_the_model(busy: LogStore, seed: int) -> None:
    draw = random.Random(100 + seed)
    for _ in range(20):
        name = draw.choice(list(VALUES))
        query = {
            "filters": Filters(draw.choice([{}, {name: draw.choice(VALUES[name])}])),
            "scope": draw.choice(SCOPES),
            "span": draw.choice([EVER, _random_span(draw)]),
        }
        rows = model(busy, **query)
        near = [row["id"] + draw.randrange(-1, 2) for row in rows] or [0]
        low, high = sorted((draw.choice(near), draw.choice(near)))
        cursor = draw.choice([Cursor(before=high), Cursor(after=low), Cursor(before=high, after=low)])
        limit = draw.choice([1, 20, 100])
        found = beside(busy, cursor, limit=limit, **query)

        assert row_ids(found.rows) == row_ids(model_beside(rows, cursor, limit)), (query, cursor, limit)
        assert found.total == len(rows)


@ALL_WAYS
@pytest.mark.parametrize("size", [40, 100])
def test_walking_with_before_meets_every_row_once(busy: LogStore, size: int) -> None:
    met: list[Row] = []
    last = ids.OPEN_END
    while rows := beside(busy, Cursor(before=last), limit=size).rows:
        met += rows
        last = rows[-1]["id"]

    assert row_ids(met) == row_ids(model(busy))


@pytest.mark.parametrize("size", [40, 100])
def test_walking_with_after_meets_every_row_once(busy: LogStore, size: int) -> None:
    met: list[Row] = []
    first = 0
    while rows := beside(busy, Cursor(after=first), limit=size).rows:
        met = rows + met
        first = rows[0]["id"]

    assert row_ids(met) == row_ids(model(busy))


@pytest.mark.parametrize("edge", [0, 1, -1, 2**53, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("values", [{}, {"ip": "x"}], ids=str)
def test_a_cursor_of_any_64_bit_number_is_answered(store: LogStore, edge: int, values: Row) -> None:
    rows = record(store, {"ip": "x"}, {"ip": "x"})

    before = beside(store, Cursor(before=edge), filters=Filters(values))
    after = beside(store, Cursor(after=edge), filters=Filters(values))

    assert len(before.rows) == sum(row["id"] < edge for row in rows)
    assert len(after.rows) == sum(row["id"] > edge for row in rows)
    assert before.total == after.total == 2


# The newest rows of a key


def test_the_newest_rows_of_tokens_come_without_a_count(busy: LogStore) -> None:
    scope, filters = Scope.tokens([7, 8]), Filters({"type": 2})

    found = busy.newest(scope, filters, EVER, fields=FIELDS, limit=50, offset=25)

    assert row_ids(found) == row_ids(model(busy, scope=scope, filters=filters))[25:75]


def test_no_tokens_no_rows(busy: LogStore) -> None:
    assert busy.newest(Scope.tokens([0]), ALL, EVER, fields=FIELDS, limit=50) == []
    assert page(busy, scope=Scope.tokens([])).total == 0


# One snapshot


def test_an_answer_sees_one_snapshot(store: LogStore) -> None:
    record(store, {}, {})

    with store.reading() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM log_records").scalar()
        store.record([make_record()])
        after = connection.exec_driver_sql("SELECT count(*) FROM log_records").scalar()

    assert (before, after) == (2, 2)
    assert page(store).total == 3

"""Ids: time-ordered, unique, and small enough for JavaScript."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

import pytest
from sqlalchemy import delete

from logservice.errors import InvalidValue
from logservice.store import ids
from logservice.store.ids import IdRange
from logservice.store.store import LogStore
from logservice.store.tables import records
from tests.store_rows import MIDNIGHT, make_record, raw_rows, row_ids

LAST = 2**32 - 1


def seconds_in(span: IdRange, seconds: list[int]) -> list[int]:
    """Return the seconds whose first and last id both lie in a range."""
    return [
        second
        for second in seconds
        if span.low <= ids.first_id(second) and ids.first_id(second + 1) - 1 < span.high
    ]


@pytest.mark.parametrize(
    ("start", "end", "inside"),
    [
        (0, 0, [1, 99, 100, 101, 199, 200, 201, LAST]),
        (100, 200, [100, 101, 199, 200]),
        (100, 0, [100, 101, 199, 200, 201, LAST]),
        (0, 100, [1, 99, 100]),
        (100, 100, [100]),
        (200, 100, []),
        (LAST, 0, [LAST]),
        (LAST, LAST, [LAST]),
        (LAST + 1, 0, []),
        (100, 2**63 - 1, [100, 101, 199, 200, 201, LAST]),
        (2**63 - 1, 2**63 - 1, []),
        (-5, 100, [1, 99, 100]),
        (100, -5, []),
        (-(2**63), -(2**63), []),
    ],
)
def test_a_range_of_seconds_includes_both_ends_and_zero_is_open(
    start: int, end: int, inside: list[int]
) -> None:
    assert seconds_in(ids.between(start, end), [1, 99, 100, 101, 199, 200, 201, LAST]) == inside


@pytest.mark.parametrize("start", [0, 1, LAST, 2**40, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("end", [0, 1, LAST, 2**40, 2**63 - 1, -(2**63)])
def test_no_range_leaves_64_bits(start: int, end: int) -> None:
    span = ids.between(start, end)

    assert 0 <= span.low < 2**63
    assert 0 <= span.high < 2**63


@pytest.mark.parametrize(
    ("low", "high", "cut"),
    [
        (None, None, IdRange(10, 20)),
        (12, None, IdRange(12, 20)),
        (None, 15, IdRange(10, 15)),
        (0, 99, IdRange(10, 20)),
        (0, 0, IdRange(10, 0)),
    ],
)
def test_a_cut_only_narrows(low: int | None, high: int | None, cut: IdRange) -> None:
    assert IdRange(10, 20).cut(low, high) == cut


def test_a_range_that_holds_nothing_is_false() -> None:
    assert IdRange(10, 20)
    assert not IdRange(10, 10)
    assert not IdRange(10, 0)


def test_ids_are_taken_from_those_that_are_free_in_their_second_in_order_of_arrival() -> None:
    free = {second: count(ids.first_id(second) + 5) for second in (99, 100, 101)}

    assigned = ids.assign([100, 101, 100, 99], free)

    assert assigned == [
        ids.first_id(100) + 5,
        ids.first_id(101) + 5,
        ids.first_id(100) + 6,
        ids.first_id(99) + 5,
    ]


def test_a_full_second_is_named() -> None:
    free = {99: count(ids.first_id(99)), 100: iter([ids.first_id(101) - 1])}

    assert ids.assign([100], free) == [ids.first_id(101) - 1]
    with pytest.raises(InvalidValue, match="second 100"):
        ids.assign([99, 100], free)


@pytest.mark.parametrize("second", [1, MIDNIGHT, LAST])
def test_every_second_until_2106_has_ids_below_two_to_the_53(second: int) -> None:
    assert 0 < ids.first_id(second) <= ids.first_id(second + 1) - 1 < 2**53


def test_100000_rows_of_one_second_have_as_many_ids_below_two_to_the_53(store: LogStore) -> None:
    for _ in range(4):
        store.record([make_record() for _ in range(25_000)])

    found = row_ids(raw_rows(store))

    assert len(set(found)) == 100_000
    assert max(found) < 2**53
    assert {ids.second_of(row_id) for row_id in found} == {MIDNIGHT}


def test_a_late_row_of_an_old_second_stands_behind_those_already_there(store: LogStore) -> None:
    for second, content in [(0, "first"), (1, "later"), (0, "second"), (0, "third")]:
        store.record([make_record(created_at=MIDNIGHT + second, content=content)])

    assert [row["content"] for row in raw_rows(store)] == ["first", "second", "third", "later"]


def test_an_id_by_which_a_text_still_goes_is_not_given_again(store: LogStore) -> None:
    store.record([make_record(content="said twice", type=kind) for kind in (1, 2)])
    first, last = row_ids(raw_rows(store))
    text_id = raw_rows(store)[0]["id"]
    # The row whose id the text goes by is purged, and so is every higher one of its second.
    store.write(lambda connection: connection.execute(delete(records).where(records.c.id >= first)))

    store.record([make_record(content="another text")])

    assert text_id == first
    assert last > first
    assert len({*row_ids(raw_rows(store))} - {first}) == 1


@pytest.mark.parametrize(
    ("second", "first", "following"),
    [
        (ids.MIN_SECOND, "1970-01-01", "1970-02-01"),
        (1_706_745_599, "2024-01-01", "2024-02-01"),
        (1_706_745_600, "2024-02-01", "2024-03-01"),
        (1_704_067_199, "2023-12-01", "2024-01-01"),
        (ids.MAX_SECOND, "2106-02-01", "2106-03-01"),
    ],
)
def test_a_month_reaches_from_its_first_to_its_last_second(second: int, first: str, following: str) -> None:
    low, high = (
        int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) for day in (first, following)
    )

    assert ids.month(second) == ids.IdRange(ids.first_id(low), ids.first_id(high))

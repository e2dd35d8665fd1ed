"""Rows in one piece are the same rows, in their order."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import BigInteger, Executable, Text, cast, literal, select, union_all

from logservice.store import dialects
from logservice.store.prepared import prepared
from logservice.store.store import LogStore

TEXTS = [
    "",
    "a",
    'it\'s "quoted" \\ back',
    "line\nfeed\ttab\x01\x1f\x7f",
    "模型 🐘",
    "null",
    "[1]",
    '{"a": 1}',
    " x ",
]


def numbered(numbers: list[int | None], texts: list[str | None]) -> Any:
    rows = (
        select(cast(literal(number), BigInteger).label("number"), cast(literal(value), Text).label("text"))
        for number, value in zip(numbers, texts, strict=True)
    )
    return union_all(*rows)


def given(store: LogStore, statement: Any) -> list[list[Any]]:
    """Return the rows that are given for a statement in one piece."""

    @prepared
    def build() -> Executable:
        return dialects.packed(statement)

    with store.reading() as connection:
        return [list(row) for row in build(connection, {})]


@pytest.mark.parametrize("value", TEXTS)
def test_a_text_is_what_it_was(store: LogStore, value: str) -> None:
    assert given(store, numbered([1], [value])) == [[1, value]]


@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), None])
def test_a_number_is_what_it_was_and_none_stays_none(store: LogStore, number: int | None) -> None:
    assert given(store, numbered([number], [None])) == [[number, None]]


def test_no_rows_are_no_rows(store: LogStore) -> None:
    rows = numbered([1], ["a"]).subquery()

    assert given(store, select(rows).where(rows.c.number > 1)) == []


@pytest.mark.parametrize("limit", [None, 3])
@pytest.mark.parametrize("falling", [False, True], ids=["rising", "falling"])
def test_rows_keep_their_order_and_their_limit(store: LogStore, falling: bool, limit: int | None) -> None:
    rows = numbered([3, 1, 5, 2, 4], ["c", "a", "e", "b", "d"]).subquery()
    order = rows.c.number.desc() if falling else rows.c.number
    some = select(rows).order_by(order)

    expected = [[1, "a"], [2, "b"], [3, "c"], [4, "d"], [5, "e"]][:: -1 if falling else 1]
    assert given(store, some.limit(limit) if limit else some) == expected[:limit]


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")
def test_sqlite_gives_many_rows_in_one(store: LogStore) -> None:
    @prepared
    def build() -> Executable:
        return dialects.packed(numbered([1, 2, 3], ["a", "b", "c"]))

    with store.reading() as connection:
        found = build.compiled(connection.dialect)
        rows = connection.connection.cursor().execute(found.sql, found.parameters({})).fetchall()

    assert rows == [(b'[[1,"a"],[2,"b"],[3,"c"]]',)]

"""Rows that bring an id of ours along: they keep it, and are there once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete

from logservice.store import ids, records, tables
from logservice.store.records import Record
from logservice.store.retention import Purge
from logservice.store.store import LogStore
from tests.store_rows import (
    EVERY_WAY,
    HOUR,
    MIDNIGHT,
    NOW,
    WAYS,
    buckets,
    contents,
    each_of,
    make_record,
    raw_rows,
    rebuilt,
    row_ids,
)

engine_name = each_of(*WAYS)

FIRST = ids.first_id(MIDNIGHT)


def make_kept(row_id: int = FIRST + 5, **fields: Any) -> Record:
    """Return the record of an exported row with an id of its own second."""
    created_at = ids.second_of(row_id)
    exported = {"id": row_id, "created_at": created_at, "username": "alice", "content": "said", **fields}
    return records.from_mapping(exported, now=NOW, keep_id=True)


def insert(store: LogStore, *new: Record) -> int:
    return store.write(lambda connection: store.insert(connection, new))


def test_an_id_of_its_second_is_kept(store: LogStore) -> None:
    assert insert(store, make_kept(FIRST + 5), make_kept(FIRST + 3, content="before")) == 2

    assert row_ids(raw_rows(store)) == [FIRST + 3, FIRST + 5]
    assert contents(raw_rows(store)) == ["before", "said"]


@pytest.mark.parametrize("row_id", [7, 0, -1, 2**80, ids.first_id(MIDNIGHT + 1)])
def test_an_id_of_another_second_is_given_anew(store: LogStore, row_id: int) -> None:
    record = records.from_mapping({"id": row_id, "created_at": MIDNIGHT}, now=NOW, keep_id=True)

    insert(store, record)

    assert [ids.second_of(found) for found in row_ids(raw_rows(store))] == [MIDNIGHT]


def test_a_row_that_is_there_is_not_stored_again(store: LogStore) -> None:
    rows = [make_kept(FIRST + number, content=f"row {number}") for number in range(50)]
    assert insert(store, *rows) == 50
    before = raw_rows(store)

    assert insert(store, *rows, make_kept(FIRST + 99)) == 1

    assert raw_rows(store)[:50] == before
    assert buckets(store) == rebuilt(store)


def test_a_row_that_comes_twice_at_once_is_stored_once(store: LogStore) -> None:
    assert insert(store, make_kept(), make_kept()) == 1


def test_another_row_of_the_same_id_is_not_lost(store: LogStore) -> None:
    insert(store, make_kept(content="ours"))

    assert insert(store, make_kept(content="theirs"), make_kept(content="ours", quota=5)) == 2

    assert sorted(contents(raw_rows(store))) == ["ours", "ours", "theirs"]
    assert len({*row_ids(raw_rows(store))}) == 3
    assert buckets(store) == rebuilt(store)


def test_who_a_row_belongs_to_does_not_make_it_another(store: LogStore) -> None:
    insert(store, make_kept(username="alice"))

    assert insert(store, make_kept(username="alice", user_id=5, token_name="laptop")) == 0


def test_rows_without_ids_find_their_place_beside_those_that_keep_theirs(store: LogStore) -> None:
    last = ids.first_id(MIDNIGHT + 1) - 1

    insert(store, make_kept(last), make_kept(FIRST), make_record(content="new"), make_record(content="newer"))
    insert(store, make_record(content="newest"))

    found = row_ids(raw_rows(store))
    assert len({*found}) == 5
    assert {ids.second_of(row_id) for row_id in found} == {MIDNIGHT}
    assert {FIRST, last} < {*found}


def test_a_row_comes_back_after_a_purge(store: LogStore) -> None:
    rows = [make_kept(FIRST + number, content="shared", type=2 + number % 3) for number in range(9)]
    insert(store, *rows)
    list(store.purge(Purge(before=MIDNIGHT + HOUR, log_type=2)))

    assert insert(store, *rows) == 3

    assert contents(raw_rows(store)) == ["shared"] * 9
    assert buckets(store) == rebuilt(store)


@EVERY_WAY
def test_a_text_that_still_stands_under_an_id_is_not_overwritten(store: LogStore) -> None:
    insert(store, make_kept(FIRST + 1, content="shared"), make_kept(FIRST + 2, content="shared"))
    store.write(
        lambda connection: connection.execute(delete(tables.records).where(tables.records.c.id == FIRST + 1))
    )

    insert(store, make_kept(FIRST + 1, content="another"))

    assert sorted(contents(raw_rows(store))) == ["another", "shared"]

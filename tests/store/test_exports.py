"""Exports: all rows of a query once, oldest first, in statements that are short and hold nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from logservice.store import exports, ids
from logservice.store.filters import Filters
from logservice.store.ids import IdRange
from logservice.store.queries import Query
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from tests.store.test_properties import events, filled, law, logs, queries, scopes, spans
from tests.store_rows import (
    ALL,
    EVER,
    EVERY_WAY,
    FIELDS,
    HOUR,
    MIDNIGHT,
    SITE,
    WAYS,
    Row,
    each_of,
    fits,
    make_record,
    make_records,
    raw_rows,
    row_ids,
    whole,
)

engine_name = each_of(*WAYS)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have few rows make many batches and pieces."""
    for name, number in (
        ("FIRST_ROWS", 2),
        ("MOST_ROWS", 3),
        ("MOST_PASSED", 8),
        ("MOST_PASSED_BY_INDEX", 4),
    ):
        monkeypatch.setattr(exports, name, number)


def exported(
    store: LogStore, *, filters: Filters = ALL, scope: Scope = SITE, span: IdRange = EVER
) -> list[Row]:
    found = store.batches(Query(scope, filters, span), fields=FIELDS)
    return [msgspec.structs.asdict(row) for rows in found for row in rows]


@law
@given(log=logs, filters=queries, span=spans, place=st.integers(0, 45))
def test_an_export_is_the_list_turned_round_and_goes_on_behind_any_row(
    module_store: LogStore, log: list[Row], filters: Filters, span: IdRange, place: int
) -> None:
    filled(module_store, log)
    for scope in scopes(module_store):
        asked: dict[str, Any] = {"filters": filters, "scope": scope, "span": span}
        all_of_it = exported(module_store, **asked)
        assert all_of_it == whole(module_store, size=7, **asked)[::-1]
        behind = [0, *row_ids(all_of_it)][min(place, len(all_of_it))]
        rest = exported(module_store, **{**asked, "span": span.cut(behind + 1, None)})
        assert rest == [row for row in all_of_it if row["id"] > behind]


@law
@given(log=logs, filters=queries, span=spans)
def test_the_database_writes_the_lines_that_we_would_write(
    module_store: LogStore, log: list[Row], filters: Filters, span: IdRange
) -> None:
    filled(module_store, log)
    for scope in scopes(module_store):
        query = Query(scope, filters, span)
        rows = [row for batch in module_store.batches(query, fields=FIELDS) for row in batch]
        ours = msgspec.json.Encoder().encode_lines(rows)
        assert b"".join(module_store.lines(query, fields=FIELDS)) == ours


def test_lines_hold_every_text_as_it_was(store: LogStore) -> None:
    every = "".join(map(chr, range(1, 0x180))) + '"\\/\u2028\u2029\ufeff 充值 😀 \U0010ffff {"a":"\\u001f"}'
    texts = (every, "", "null", every[::-1])
    store.record([make_record(content=text, model_name=text[-99:], other={"text": text}) for text in texts])
    written = b"".join(store.lines(Query(SITE, ALL, EVER), fields=FIELDS))
    assert [json.loads(line) for line in written.split(b"\n")[:-1]] == raw_rows(store)


def test_lines_hold_numbers_and_flags_as_they_were(store: LogStore) -> None:
    store.record([make_record(quota=sign * 10**12, is_stream=sign > 0, use_time_ms=1999) for sign in (-1, 1)])
    written = b"".join(store.lines(Query(SITE, ALL, EVER), fields=FIELDS))
    assert [json.loads(line) for line in written.split(b"\n")[:-1]] == raw_rows(store)
    # To Python, 1 and true are equal.
    assert written.count(b'"is_stream":true') == written.count(b'"is_stream":false') == 1


@EVERY_WAY
@law
@given(log=st.lists(events, max_size=60), filters=queries, span=spans)
def test_no_statement_looks_at_more_rows_than_it_may(
    module_store: LogStore, log: list[Row], filters: Filters, span: IdRange
) -> None:
    # Rows of one second are not told apart by the buckets, so none of them shares its second here.
    moments = {event["created_at"] + place: event for place, event in enumerate(log)}
    filled(module_store, [event | {"created_at": moment} for moment, event in moments.items()])
    rows = raw_rows(module_store)
    for scope in (SITE, Scope.user(rows[0]["user_id"] if rows else 1)):
        query = Query(scope, filters, span)
        if exports._is_served(query):
            continue
        found = list(exports._pieces(module_store, query))
        assert found == sorted(found, key=lambda piece: piece.low)
        passing = exports._passing(query, span)
        for piece in found:
            looked_at = [row for row in rows if fits(row, filters=passing.filters, scope=scope, span=piece)]
            most = exports.MOST_PASSED_BY_INDEX if query.shape.has_index else exports.MOST_PASSED
            # A bucket that is too full is cut into equal parts, whose rows may lie unevenly.
            assert len(looked_at) <= most or len({row["id"] // ids.first_id(HOUR) for row in looked_at}) == 1


def test_rows_recorded_meanwhile_do_not_disturb(store: LogStore) -> None:
    store.record(make_records(40, content="there before"))
    before = raw_rows(store)
    walk = store.batches(Query(SITE, ALL, EVER), fields=FIELDS)
    found = next(walk)

    for rows in walk:
        store.record([make_record(content="meanwhile")])
        found += rows

    assert [msgspec.structs.asdict(row) for row in found] == before


@EVERY_WAY
@pytest.mark.parametrize("filters", [ALL, Filters({"model_name": "claude"}), Filters({"ip": "10.0.0.1"})])
def test_a_reader_who_waits_holds_no_transaction(store: LogStore, filters: Filters) -> None:
    store.record(make_records(200))
    walk = store.batches(Query(SITE, filters, EVER), fields=FIELDS)
    assert len(next(walk)) == 2

    assert not has_readers(store)
    assert sum(map(len, walk)) > 10


def has_readers(store: LogStore) -> bool:
    """Tell whether somebody has a snapshot open: what keeps the write-ahead log, or dead rows, from going."""
    if store.engine.dialect.name == "postgresql":
        with store.reading() as connection:
            idle = text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
            )
            return bool(connection.scalar(idle))
    store.record([make_record()])
    with store.dialect.turn():
        found = store.dialect._connection.connection.driver_connection.execute(
            "PRAGMA wal_checkpoint(TRUNCATE)"
        ).fetchone()
    # The first figure says that a reader was in the way.
    return bool(found[0])


@EVERY_WAY
def test_few_rows_among_many_are_found_without_reading_the_others(
    store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.record(make_records(300, days=60))
    rare = [make_record(created_at=MIDNIGHT - day * 86400, model_name="rare") for day in (2, 30, 31)]
    store.record(rare)
    looked: list[IdRange] = []
    oldest = exports._oldest

    def noting(connection: Any, query: Any, span: IdRange, **how: Any) -> Any:
        looked.append(span)
        return oldest(connection, query, span, **how)

    monkeypatch.setattr(exports, "_oldest", noting)

    found = exported(store, filters=Filters({"model_name": "rare"}))

    assert [row["created_at"] for row in found] == [MIDNIGHT - day * 86400 for day in (31, 30, 2)]
    every = row_ids(raw_rows(store))
    assert sum(span.low <= row_id < span.high for span in looked for row_id in every) <= 30


def test_the_ids_alone_can_be_exported(store: LogStore) -> None:
    store.record(make_records(10))
    found = store.batches(Query(SITE, ALL, EVER), fields=["id"])
    assert [row.id for rows in found for row in rows] == row_ids(raw_rows(store))


def test_fewer_rows_are_read_at_once_where_they_are_long(
    store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MOST_ROWS", 500)
    store.record(make_records(60, content="x" * 60_000))

    sizes = [len(rows) for rows in store.batches(Query(SITE, ALL, EVER), fields=FIELDS)]

    assert sum(sizes) == 60
    assert max(sizes) <= 2 * exports.MOST_TEXT // 60_000
    pieces = list(store.lines(Query(SITE, ALL, EVER), fields=FIELDS))
    assert sum(piece.count(b"\n") for piece in pieces) == 60
    assert max(map(len, pieces)) <= 2 * exports.MOST_TEXT


@pytest.mark.parametrize("span", [IdRange(5, 5), IdRange(ids.OPEN_END, ids.OPEN_END), IdRange(2**63, 9)])
def test_an_empty_range_gives_nothing(store: LogStore, span: IdRange) -> None:
    store.record(make_records(3))
    assert exported(store, span=span) == []


def test_an_empty_log_gives_nothing(store: LogStore) -> None:
    assert exported(store) == exported(store, filters=Filters({"model_name": "x"})) == []
    assert b"".join(store.lines(Query(SITE, ALL, EVER), fields=FIELDS)) == b""


@EVERY_WAY
@pytest.mark.parametrize(
    ("filters", "number"), [(ALL, 40), (Filters({"model_name": "none"}), 0), (Filters({"ip": "x"}), None)]
)
def test_it_is_known_beforehand_how_many_rows_come_where_the_buckets_know(
    store: LogStore, filters: Filters, number: int | None
) -> None:
    store.record(make_records(40))
    assert store.count_exported(Query(SITE, filters, EVER)) == number

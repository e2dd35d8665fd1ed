"""Rows for the store's tests: made, put in, read back and compared by the plainest means."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

import pytest
from sqlalchemy import delete, select

from logservice.store import ids, pages, recent, records, tables
from logservice.store.buckets import ROLLUPS
from logservice.store.filters import Filters
from logservice.store.ids import IdRange
from logservice.store.records import Record
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from tests.stores import forget_rows, rows_apart, rows_on_clickhouse

T = TypeVar("T")
Row = dict[str, Any]

HOUR, DAY, WEEK = ids.HOUR, ids.DAY, ids.WEEK
#: Midnight (UTC) of a day in November 2023, around which the tests put their rows.
MIDNIGHT = 1_700_006_400
#: The time it is for the events: the noon after it.
NOW = MIDNIGHT + DAY // 2

_CLICKHOUSE = pytest.param("clickhouse", marks=pytest.mark.clickhouse)
#: What the tests of the web floor run on, and those of the store that say so.
ENGINES = ("sqlite", "postgresql", _CLICKHOUSE)
#: The same and partitions: what rows go in, come out or go away by.
WAYS = ("sqlite", "postgresql", "partitioned", _CLICKHOUSE)


def _on(*engines: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("engine_name", engines, indirect=True, scope="session")


#: Where there are buckets beside the rows, and several processes may write: not on the embedded ClickHouse.
SQL_ENGINES = _on("sqlite", "postgresql")
#: The same and partitions.
EVERY_WAY = _on(*WAYS[:3])
#: All of them.
ALL_WAYS = _on(*WAYS)


def each_of(*engines: Any) -> Any:
    """Return a fixture that stands for `engine_name` in a module, to have its tests run on some engines."""

    @pytest.fixture(scope="session", params=engines)
    def engine_name(request: pytest.FixtureRequest) -> str:
        name: str = request.param
        return name

    return engine_name


SITE = Scope.site()
ALL = Filters()
EVER = ids.between()
FIELDS = tuple(pages.FIELDS)


def make_record(**fields: Any) -> Record:
    """Return the clean record of an event: a call of alice's at midnight unless `fields` say otherwise."""
    return records.from_mapping({"created_at": MIDNIGHT, "username": "alice", **fields}, now=NOW)


def make_records(number: int, *, seed: int = 0, days: int = 3, **fields: Any) -> list[Record]:
    """Return calls of few users, tokens and models, scattered over the days before midnight."""
    draw = random.Random(seed)
    return [make_record(**{**_scattered(draw, days), **fields}) for _ in range(number)]


def _scattered(draw: random.Random, days: int) -> Row:
    return {
        "created_at": MIDNIGHT - draw.randrange(days * DAY),
        "type": draw.choice((1, 2, 2, 2, 4, 5)),
        "username": draw.choice(("alice", "bob", "Bob")),
        "token_id": draw.choice((0, 7, 8)),
        "token_name": draw.choice(("", "laptop", "server")),
        "model_name": draw.choice(("gpt-4o", "gpt-4o-mini", "claude")),
        "channel_id": draw.randrange(3),
        "group": draw.choice(("default", "vip")),
        "quota": draw.randrange(-50, 1000),
        "prompt_tokens": draw.randrange(100),
        "completion_tokens": draw.randrange(100),
        "cached_tokens": draw.randrange(10),
        "use_time_ms": draw.randrange(5000),
        "ip": draw.choice(("", "10.0.0.1", "10.0.0.2")),
        "request_id": draw.choice(("", "r-1", "r-2")),
    }


def record(store: LogStore, *events: Row) -> list[Row]:
    """Record events in one go and return all rows of the log, oldest first."""
    store.record([make_record(**event) for event in events])
    return raw_rows(store)


def raw_rows(store: LogStore) -> list[Row]:
    """Return all rows as they stand in their table, with the second they were created in, oldest first."""
    if (apart := rows_apart(store)) is not None:
        return rows_on_clickhouse(apart, FIELDS)
    with store.reading() as connection:
        every = select(*pages.columns(FIELDS)).order_by(tables.records.c.id)
        return [dict(row) for row in connection.execute(every).mappings()]


@cache
def rows_once(store: LogStore) -> list[Row]:
    """Return all rows of a store that the tests of a module only read, newest first."""
    return raw_rows(store)[::-1]


def contents(rows: Iterable[Row]) -> list[str]:
    """Return what the rows say, in their order."""
    return [row["content"] for row in rows]


def row_ids(rows: Iterable[Row]) -> list[int]:
    return [row["id"] for row in rows]


def table_rows(store: LogStore, table: Any) -> list[Row]:
    """Return all rows of a table, sorted."""
    with store.reading() as connection:
        return sorted(
            (dict(row) for row in connection.execute(select(table)).mappings()),
            key=lambda row: list(map(str, row.values())),
        )


def buckets(store: LogStore) -> list[list[Row]]:
    """Return everything that stands in the bucket tables: of hours, of the site, of owners."""
    return [table_rows(store, rollup.table) for rollup in ROLLUPS]


def rebuilt(store: LogStore) -> list[list[Row]]:
    """Build the buckets anew from the rows and return them."""
    list(store.rebuild())
    return buckets(store)


def empty(store: LogStore) -> None:
    """Forget everything, so that the next example of a property starts from nothing."""

    def work(connection: Any) -> None:
        for table in tables.metadata.sorted_tables:
            connection.execute(delete(table))
        store.dialect.clear_contents(connection)
        recent.begin(connection, now=1)

    store.write(work)
    if (apart := rows_apart(store)) is not None:
        forget_rows(apart)


def page(
    store: LogStore, *, filters: Filters = ALL, scope: Scope = SITE, span: IdRange = EVER, **asked: Any
) -> Any:
    """Return a page, its rows with all fields."""
    asked = {"page": 1, "page_size": 20, "fields": FIELDS} | asked
    return store.page(scope, filters, span, **asked)


def change(store: LogStore, statement: str) -> None:
    """Change a database as another program would, in a turn and a transaction of its own."""
    with store.dialect.turn(), store.dialect.transaction() as connection:
        connection.exec_driver_sql(statement)


def whole(
    store: LogStore, *, size: int, filters: Filters = ALL, scope: Scope = SITE, span: IdRange = EVER
) -> list[Row]:
    """Return all pages one after the other, and check that each one gives the same total."""
    found: list[Row] = []
    totals = set()
    for number in range(1, 100_000):
        one = page(store, filters=filters, scope=scope, span=span, page=number, page_size=size)
        totals.add(one.total)
        found += one.rows
        if not one.rows:
            break
    assert totals == {len(found)}
    return found


def fits(row: Row, *, filters: Filters = ALL, scope: Scope = SITE, span: IdRange = EVER) -> bool:
    """Tell by plain Python whether a row belongs to a query."""
    return (
        span.low <= row["id"] < span.high
        and scope.user_id in (None, row["user_id"])
        and (scope.token_ids is None or row["token_id"] in scope.token_ids)
        and all(_passes(row, name, value) for name, value in filters.items())
    )


def _passes(row: Row, name: str, value: Any) -> bool:
    column = {"types": "type", "model_names": "model_name", "channel": "channel_id"}.get(name, name)
    found = row[column.removeprefix("some_")]
    if name in ("types", "model_names") or name.startswith("some_"):
        return found in value
    if name in ("username", "token_name", "model_name") and "%" in value:
        return like(found, value)
    return bool(found == value)


def like(value: str, pattern: str) -> bool:
    """Tell by plain Python whether a text fits a pattern in which only `%` is special."""
    first, *parts = pattern.split("%")
    if not value.startswith(first):
        return False
    at = len(first)
    for part in parts[:-1]:
        at = value.find(part, at) + len(part) if part in value[at:] else -1
        if at < 0:
            return False
    last = parts[-1] if parts else ""
    return len(value) - len(last) >= at and value.endswith(last)


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns or raises, and fail when it takes longer: nothing here may hang for ever."""
    outcome: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            outcome.append((True, call()))
        except BaseException as error:  # noqa: BLE001  # it is raised again in the thread that waits
            outcome.append((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise AssertionError(f"not done after {seconds} seconds")
    well, result = outcome[0]
    if not well:
        raise result
    return result  # type: ignore[no-any-return]


def at_once(calls: Sequence[Callable[[], Any]], *, seconds: float = 30) -> list[Any]:
    """Make calls from a thread each, all starting together, and return their results or errors, in order.

    All have to be done after so many seconds.
    """
    start = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(position: int, call: Callable[[], Any]) -> None:
        start.wait()
        try:
            results[position] = call()
        except Exception as error:  # noqa: BLE001  # it is returned as the result
            results[position] = error

    threads = [threading.Thread(target=run, args=numbered, daemon=True) for numbered in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads), f"a call is waiting after {seconds:g} seconds"
    return results

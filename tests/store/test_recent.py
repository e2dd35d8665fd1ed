"""Rates out of seconds: the same as those of the rows, whatever was recorded, purged or built anew."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, text, update

from logservice.store import recent, sums
from logservice.store.filters import Filters
from logservice.store.queries import Query
from logservice.store.retention import Purge
from logservice.store.stats import RATE_SECONDS
from logservice.store.store import LogStore
from logservice.store.tables import recent as table
from logservice.store.tables import records
from tests.conftest import Clock
from tests.store.versions import bring_to
from tests.store_rows import (
    DAY,
    EVER,
    EVERY_WAY,
    HOUR,
    NOW,
    SITE,
    empty,
    make_record,
    record,
    table_rows,
)

pytestmark = EVERY_WAY

CONSUME, ERROR = 2, 5
MODELS = ("gpt-4o", "claude", "")
Rates = tuple[int, int]


@pytest.fixture
def clock() -> Clock:
    """A clock that is set by hand and says noon."""
    set_by_hand = Clock()
    set_by_hand.now = NOW
    return set_by_hand


@pytest.fixture
def ticking(open_store: Callable[..., LogStore], clock: Clock) -> LogStore:
    """A store that goes by the clock."""
    return open_store(clock=clock)


def call(second: int, **fields: Any) -> Any:
    return make_record(created_at=second, **{"prompt_tokens": 2, "completion_tokens": 3, **fields})


def of_rows(store: LogStore, now: int, *, asked: int = CONSUME, **values: Any) -> Rates:
    """Return the rates by the rows, one by one."""
    with store.reading() as connection:
        query = Query(SITE, Filters(values), EVER)
        return sums._rates_of_rows(connection, query, asked=asked, now=now)


def of_seconds(store: LogStore, now: int, *, asked: int = CONSUME, **values: Any) -> Rates | None:
    """Return the rates that the table of seconds tells, if it does."""
    with store.reading() as connection:
        return recent.rates(connection, Query(SITE, Filters(values), EVER), asked=asked, now=now)


def told(store: LogStore, **values: Any) -> Rates:
    """Return what is told of the last minute by the clock of the store."""
    found = store.statistics(SITE, Filters(values), EVER, asked=CONSUME)
    return found["rpm"], found["tpm"]


def since(store: LogStore) -> int:
    found: int = max(-row["second"] for row in table_rows(store, table) if row["second"] < 0)
    return found


def wrong(store: LogStore) -> int:
    with store.reading() as connection:
        return recent.wrong(connection)


def test_the_last_minute_is_that_of_the_rows_by_model_and_type(ticking: LogStore) -> None:
    draw = random.Random(3)
    for _ in range(20):
        ticking.record(
            [
                call(
                    NOW - draw.randrange(100),
                    model_name=draw.choice(MODELS),
                    type=draw.choice((CONSUME, ERROR)),
                    prompt_tokens=draw.randrange(10**9),
                )
                for _ in range(draw.randrange(1, 30))
            ]
        )

    for now in range(NOW - 40, NOW + 120, 10):
        for asked in (CONSUME, ERROR):
            for filters in ({}, {"model_name": "claude"}, {"model_name": "%4o"}):
                found = of_seconds(ticking, now, asked=asked, **filters)
                assert found == of_rows(ticking, now, asked=asked, **filters)
    assert of_rows(ticking, NOW)[0] > 50
    assert wrong(ticking) == 0


def test_no_row_is_read_for_it(ticking: LogStore) -> None:
    record(ticking, {"created_at": NOW, "prompt_tokens": 5, "model_name": "a"})
    ticking.write(lambda connection: connection.execute(update(records).values(prompt_tokens=1000)))

    assert told(ticking) == told(ticking, model_name="a") == (1, 5)
    assert told(ticking, username="alice") == told(ticking, channel=0) == (1, 1000)


@settings(max_examples=20, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(("record", "purge", "tick", "back")),
            st.integers(0, 400),
            st.lists(st.tuples(st.integers(-500, 300), st.sampled_from((CONSUME, ERROR))), max_size=6),
        ),
        max_size=15,
    )
)
def test_whatever_happens_rates_are_those_of_the_rows(module_store: LogStore, steps: Any) -> None:
    clock = Clock()
    clock.now = NOW
    module_store.clock = clock
    empty(module_store)
    for step, number, rows in steps:
        if step == "record":
            module_store.record([call(int(clock.now) + apart, type=kind) for apart, kind in rows])
        elif step == "purge":
            kind = rows[0][1] if rows else None
            purge = Purge(int(clock.now) - number // 2, kind, keep_usage=bool(number % 2))
            list(module_store.purge(purge, batch=1 + number % 3))
        else:
            clock.now += number if step == "tick" else -number
        now = int(clock.now)
        assert told(module_store) == of_rows(module_store, now)
        assert (of_seconds(module_store, now) is None) == (now - RATE_SECONDS + 1 < since(module_store))
        assert wrong(module_store) == 0


def test_only_some_minutes_are_kept(ticking: LogStore, clock: Clock) -> None:
    for minute in range(60):
        clock.now = NOW + 60 * minute
        ticking.record([call(int(clock.now) - second) for second in range(60)])

    seconds = [row["second"] for row in table_rows(ticking, table) if row["second"] > 0]
    assert NOW + 59 * 60 - 2 * recent.KEPT - 60 < min(seconds) <= NOW + 59 * 60 - recent.KEPT
    assert told(ticking) == (60, 300)


def test_rows_of_long_ago_leave_nothing_behind(ticking: LogStore) -> None:
    ticking.record([call(NOW)])
    ticking.record([call(NOW - DAY + second) for second in range(1000)])

    assert {row["second"] for row in table_rows(ticking, table) if row["second"] > 0} == {NOW}


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_clock_that_steps_is_survived(ticking: LogStore, clock: Clock, step: int) -> None:
    ticking.record([call(NOW - second) for second in range(60)])
    clock.now += step
    ticking.record([call(int(clock.now)) for _ in range(7)])
    assert told(ticking) == (7, 35)

    clock.now = NOW + 20
    ticking.record([call(NOW + 20)])
    assert told(ticking) == of_rows(ticking, NOW + 20) == (41, 205)
    assert wrong(ticking) == 0


def test_who_asks_for_what_is_not_complete_reads_the_rows(ticking: LogStore) -> None:
    ticking.record([call(NOW - second) for second in range(2 * HOUR)])

    since = NOW - recent.KEPT
    assert of_seconds(ticking, since + RATE_SECONDS - 1) == (60, 300)
    assert of_seconds(ticking, since + RATE_SECONDS - 2) is None
    ticking.clock = lambda: NOW - HOUR
    assert told(ticking) == (60, 300)


@pytest.mark.parametrize("takes", [{}, {"log_type": CONSUME}, {"keep_usage": True}])
def test_a_purge_of_the_last_minute_takes_its_rows_out(ticking: LogStore, takes: Any) -> None:
    ticking.record([call(NOW - second, type=kind) for second in range(60) for kind in (CONSUME, ERROR)])

    assert sum(ticking.purge(Purge(NOW - 9, **takes))) in (50, 100)

    assert told(ticking) == (10, 50)
    assert wrong(ticking) == 0


def test_wrong_seconds_are_counted_and_mended_by_a_rebuild(ticking: LogStore) -> None:
    ticking.record([call(NOW - second) for second in range(5)])
    present = table.c.second > 0

    def break_some(connection: Any) -> None:
        connection.execute(update(table).where(table.c.second == NOW).values(tokens=7))
        connection.execute(delete(table).where(table.c.second == NOW - 1))
        connection.execute(update(table).where(table.c.second == NOW - 2).values(second=NOW + 2 * DAY))

    ticking.write(break_some)
    assert ticking.check().complete().wrong_seconds == 3
    found = ticking.check(full=True).complete()
    assert (found.wrong_seconds, found.is_sound, found.to_mapping()["wrong_seconds"]) == (4, False, 4)

    list(ticking.rebuild())
    assert wrong(ticking) == 0
    with ticking.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(table).where(present)) == 5


def test_a_table_that_does_not_say_since_when_is_not_asked(ticking: LogStore) -> None:
    ticking.record([call(NOW) for _ in range(3)])
    ticking.write(lambda connection: connection.execute(delete(table)))
    ticking.record([call(NOW)])
    assert (table_rows(ticking, table), told(ticking)) == ([], (4, 20))

    ticking.create()
    ticking.record([call(NOW), call(NOW + 1), call(NOW + 60)])

    assert of_seconds(ticking, NOW + 59) is None
    assert of_seconds(ticking, NOW + 60) == of_rows(ticking, NOW + 60) == (2, 10)
    ticking.write(lambda connection: connection.execute(delete(table)))
    list(ticking.rebuild())
    assert of_seconds(ticking, NOW + 60) == (2, 10)


def test_an_older_log_begins_behind_its_rows(open_bare: Any, engine: Any) -> None:
    bring_to(engine, "0006")
    row = "INSERT INTO log_records (id, type, prompt_tokens) VALUES (:id, 2, 8)"
    with engine.begin() as connection:
        connection.execute(text(row), [{"id": second << 21} for second in range(NOW - 30, NOW)])
    store = open_bare()
    store.create()
    store.record([call(NOW - 1), call(NOW)])

    assert of_seconds(store, NOW) is None
    assert told(store) == (32, 30 * 8 + 10)
    assert of_seconds(store, NOW + 59) == of_rows(store, NOW + 59) == (1, 5)


def test_rows_in_the_future_do_not_keep_an_older_log_waiting(open_bare: Any, engine: Any) -> None:
    bring_to(engine, "0006")
    row = "INSERT INTO log_records (id, type, prompt_tokens) VALUES (:id, 2, 8)"
    with engine.begin() as connection:
        connection.execute(text(row), [{"id": second << 21} for second in (NOW - 9, NOW + 50, NOW + HOUR)])
    store = open_bare()
    store.create()

    assert of_seconds(store, NOW + 60) == of_rows(store, NOW + 60) == (1, 8)
    assert wrong(store) == 0


def test_a_month_that_goes_takes_its_seconds_along(ticking: LogStore, clock: Clock) -> None:
    """With partitions it goes as a whole."""
    november = 1_698_796_800
    clock.now = november + 9
    ticking.record([call(november + second) for second in range(-30, 10)])
    assert told(ticking) == (40, 200)

    assert sum(ticking.purge(Purge(november))) == 30

    assert told(ticking) == (10, 50)
    assert wrong(ticking) == 0


def test_several_writers_each_have_rows_of_their_own(open_store: Callable[..., LogStore]) -> None:
    """On SQLite there is one at a time."""
    stores = [open_store(), open_store()]
    for store in stores:
        store.record([call(NOW)])

    number = 1 if stores[0].dialect.one_writer else 2
    assert len({row["writer"] for row in table_rows(stores[0], table) if row["second"] == NOW}) == number


def test_writers_do_not_wait_for_each_other(open_store: Callable[..., LogStore]) -> None:
    """One moves on to later seconds, and the other to still later ones, before the first commits.

    On SQLite, where there is one writer at a time, after it has.
    """
    one, other = open_store(clock=lambda: NOW), open_store(clock=lambda: NOW + HOUR)
    has_added, may_commit = threading.Event(), threading.Event()
    if one.dialect.one_writer:
        may_commit.set()
    row = {"id": (NOW << 21) + 1, "type": 2, "model_name": "m", "prompt_tokens": 1, "completion_tokens": 1}

    def slowly(connection: Any) -> None:
        connection.execute(insert(records).values(row))
        recent.add(connection, one.dialect, [row], now=NOW)
        has_added.set()
        assert may_commit.wait(20)

    slow = threading.Thread(target=one.write, args=(slowly,))
    slow.start()
    try:
        assert has_added.wait(20)
        other.record([call(NOW, model_name="m"), call(NOW + HOUR, model_name="m")])
    finally:
        may_commit.set()
        slow.join()

    assert since(one) == NOW + HOUR - recent.KEPT
    assert of_seconds(one, NOW) is None
    assert of_rows(one, NOW) == (2, 7)
    assert wrong(one) == 0


def test_what_tells_of_later_seconds_stays(ticking: LogStore, clock: Clock) -> None:
    """Whoever has read before it that the table is complete from earlier on moves on to less."""
    ticking.record([call(NOW)])
    clock.now = NOW + HOUR
    ticking.record([call(NOW + HOUR)])

    ticking.write(lambda connection: recent._forget(connection, NOW + HOUR - recent.KEPT - 10))

    assert since(ticking) == NOW + HOUR - recent.KEPT

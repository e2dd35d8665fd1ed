"""Purges as they are carried out: how far one is, is seen by all; few transactions do it."""

from __future__ import annotations

from typing import Any

import pytest

from logservice.errors import Conflict
from logservice.store import marks, purging
from logservice.store.purging import Progress
from logservice.store.retention import Purge
from tests.store_rows import (
    ENGINES,
    MIDNIGHT,
    each_of,
    make_records,
    raw_rows,
)

engine_name = each_of(*ENGINES)


def test_how_far_a_purge_is_can_be_seen_by_others_until_it_is_done(open_store: Any) -> None:
    now = [float(MIDNIGHT)]
    store, other = open_store(clock=lambda: now[0]), open_store(clock=lambda: now[0])
    store.record(make_records(100))
    total = store.count_all()
    running = store.purge(Purge(MIDNIGHT, keep_usage=True), batch=3)
    assert purging.under_way(other) is None

    deleted = next(running)
    now[0] += 5
    deleted += next(running)

    assert purging.under_way(other) == Progress(
        before=MIDNIGHT,
        type=None,
        keep_usage=True,
        deleted=deleted,
        to_go=total - deleted,
        started_at=MIDNIGHT,
        updated_at=MIDNIGHT + 5,
    )
    assert deleted + sum(running) == total
    assert purging.under_way(other) is None


def test_one_that_was_cut_short_or_killed_is_not_under_way(open_store: Any) -> None:
    now = [float(MIDNIGHT)]
    store, other = open_store(clock=lambda: now[0]), open_store(clock=lambda: now[0])
    store.record(make_records(100))
    cut_short = store.purge(Purge(MIDNIGHT), batch=3)
    next(cut_short)
    cut_short.close()
    assert purging.under_way(other) is None

    killed = store.purge(Purge(MIDNIGHT), batch=3)
    next(killed)
    now[0] += marks.LIFETIME - 1
    assert purging.under_way(other) is not None
    now[0] += 1
    assert purging.under_way(other) is None
    killed.close()


def test_one_on_a_machine_whose_clock_is_minutes_ahead_keeps_others_out(open_store: Any) -> None:
    ahead, other = open_store(clock=lambda: MIDNIGHT + 600.0), open_store(clock=lambda: float(MIDNIGHT))
    ahead.record(make_records(10))
    running = ahead.purge(Purge(MIDNIGHT), batch=3)
    next(running)

    with pytest.raises(Conflict, match="purge is running already"):
        next(other.purge(Purge(MIDNIGHT)))

    assert purging.under_way(other) is not None
    list(running)
    assert raw_rows(other) == []


def test_one_whose_mark_somebody_else_took_over_stops(open_store: Any) -> None:
    now = [float(MIDNIGHT)]
    store, other = open_store(clock=lambda: now[0]), open_store(clock=lambda: now[0])
    store.record(make_records(100))
    asleep = store.purge(Purge(MIDNIGHT), batch=3)
    next(asleep)
    now[0] += marks.LIFETIME
    later = other.purge(Purge(MIDNIGHT), batch=3)
    next(later)

    with pytest.raises(Conflict, match="purge is running already"):
        next(asleep)

    assert purging.under_way(store) is not None
    list(later)
    assert raw_rows(store) == []


def test_one_that_a_machine_takes_for_killed_whose_clock_is_ahead_does_not_go_on_beside_it(
    open_store: Any,
) -> None:
    store, ahead = open_store(clock=lambda: float(MIDNIGHT)), open_store(clock=lambda: MIDNIGHT + 90.0)
    store.record(make_records(100))
    overtaken, later = (one.purge(Purge(MIDNIGHT), batch=3) for one in (store, ahead))
    next(overtaken)
    next(later)

    with pytest.raises(Conflict, match="purge is running already"):
        next(overtaken)

    list(later)
    assert raw_rows(store) == []

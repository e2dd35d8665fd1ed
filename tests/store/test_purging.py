"""Purges as they are carried out: how far one is, is seen by all; few transactions do it."""

from __future__ import annotations

from typing import Any

import pytest

from logservice.errors import Conflict
from logservice.store import contents, marks, purging
from logservice.store.purging import Progress
from logservice.store.retention import Purge
from logservice.store.store import LogStore
from tests.store_rows import HOUR, MIDNIGHT, buckets, make_record, make_records, raw_rows, rebuilt


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


def test_a_batch_that_fails_moves_neither_rows_nor_progress(
    open_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = open_store(), open_store()
    store.record(make_records(100))
    running = store.purge(Purge(MIDNIGHT, log_type=2), batch=3)
    next(running)
    rows, progress = raw_rows(other), purging.under_way(other)
    seen: list[Progress | None] = []

    def fail(*_: Any) -> None:
        seen.append(purging.under_way(other))
        raise RuntimeError("on purpose")

    monkeypatch.setattr(contents, "forget_unsaid", fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        next(running)

    assert (raw_rows(other), seen) == (rows, [progress])
    assert purging.under_way(other) is None


@pytest.mark.parametrize("keep_usage", [False, True])
@pytest.mark.parametrize("log_type", [None, 2])
def test_small_hours_of_a_week_go_together(store: LogStore, log_type: int | None, keep_usage: bool) -> None:
    """From Thursday to Thursday: weeks begin as the epoch did."""
    hours = [MIDNIGHT - hour * HOUR for hour in range(72)]
    store.record([make_record(created_at=hour, type=kind) for hour in hours for kind in (2, 2, 4)])
    how = Purge(MIDNIGHT + 1, log_type, keep_usage)

    gone = list(store.purge(how, batch=50))

    each = 2 if log_type else 3
    assert sum(gone) == 71 * each + each
    assert max(gone) <= 50
    assert len(gone) <= 72 * each / 50 * 1.5 + 2
    assert buckets(store) == rebuilt(store)


def test_hours_of_which_much_stays_are_not_joined_without_end(store: LogStore) -> None:
    hours = [MIDNIGHT - hour * HOUR for hour in range(1, 41)]
    store.record([make_record(created_at=hour, type=2 if row else 4) for hour in hours for row in range(31)])

    gone = list(store.purge(Purge(MIDNIGHT, log_type=4), batch=20))

    assert sum(gone) == 40
    assert max(gone) == 2, "60 rows stay in two hours, and what they say is read"

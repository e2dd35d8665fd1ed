"""The batches of a purge where rows lie in tables with buckets beside them."""

from __future__ import annotations

from typing import Any

import pytest

from logservice.store import contents, purging
from logservice.store.purging import Progress
from logservice.store.retention import Purge
from logservice.store.store import LogStore
from tests.store_rows import HOUR, MIDNIGHT, buckets, make_record, make_records, raw_rows, rebuilt


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

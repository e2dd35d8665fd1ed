"""Figures that are cheap to read: rows, and the oldest one of each type."""

from __future__ import annotations

import pytest

from logservice.store.log_types import NAMES
from logservice.store.retention import Purge
from logservice.store.store import LogStore
from tests.store_rows import ALL_WAYS, MIDNIGHT, WEEK, make_record, make_records, raw_rows


def oldest_by_type(store: LogStore) -> dict[str, int]:
    """Return the second of the oldest row of each type, by looking at all rows."""
    return {NAMES[row["type"]]: row["created_at"] for row in reversed(raw_rows(store))}


def test_an_empty_log_has_no_oldest_row(store: LogStore) -> None:
    found = store.vitals()
    assert (found.rows, found.oldest) == (0, {})


@ALL_WAYS
def test_the_oldest_row_of_each_type_is_told_whatever_was_purged(store: LogStore) -> None:
    store.record(make_records(300, days=40))
    store.record([make_record(type="login", created_at=MIDNIGHT - 3 * WEEK)])
    assert store.vitals().oldest == oldest_by_type(store)
    for keep_usage in (True, False):
        list(store.purge(Purge(MIDNIGHT - 2 * WEEK, 2, keep_usage)))
        list(store.purge(Purge(MIDNIGHT - WEEK - 1000, 4, keep_usage)))
        found, rows = store.vitals(), raw_rows(store)
        assert (found.rows, found.oldest) == (len(rows), oldest_by_type(store))
        assert found.oldest["login"] == MIDNIGHT - 3 * WEEK


@pytest.mark.parametrize("kind", NAMES.values())
def test_a_type_without_rows_is_left_out(store: LogStore, kind: str) -> None:
    store.record([make_record(type=kind)])
    assert store.vitals().oldest == {kind: MIDNIGHT}

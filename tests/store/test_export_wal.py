"""Exports never keep SQLite's write-ahead log from being folded back, however many are read at once."""

from __future__ import annotations

import threading

import pytest

from logservice.store.dialects import sqlite_wal
from logservice.store.exports import batches
from logservice.store.queries import Query
from tests.store.conftest import OpenStore
from tests.store_rows import ALL, EVER, FIELDS, SITE, make_records

CHECKPOINT_BYTES = 512 * 1024


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")
def test_the_log_stays_short_while_exports_are_read_without_a_pause(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_wal, "CHECKPOINT_BYTES", CHECKPOINT_BYTES)
    store, readers = open_store(), open_store()
    store.record(make_records(5000))
    done = threading.Event()

    def export() -> None:
        while not done.is_set():
            for _ in batches(readers, Query(SITE, ALL, EVER), fields=FIELDS):
                if done.is_set():
                    break

    threads = [threading.Thread(target=export) for _ in range(4)]
    for thread in threads:
        thread.start()
    longest = 0
    for seed in range(60):
        store.record(make_records(200, seed=seed))
        longest = max(longest, store.dialect.status()["wal_bytes"])
    done.set()
    for thread in threads:
        thread.join(30)

    # Twice as long as it should be, and some commits of a megabyte or two; without waiting, over a hundred.
    assert longest < 40 * CHECKPOINT_BYTES

"""Everything is killed under load, again and again: what was acknowledged is there and counts, once.

In each way once; LOGSERVICE_TEST_KILL_ROUNDS=50 kills as often; LOGSERVICE_TEST_KILL_SEED=7 draws the same
once more.
"""

from __future__ import annotations

import os
import random
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import select

from logservice.store import ids, tables
from logservice.store.contents import content_of_row
from logservice.store.filters import Filters
from logservice.store.ids import between
from logservice.store.retention import Purge
from logservice.store.scope import Scope
from logservice.store.store import LogStore
from tests.leaks import assert_nothing_leaked
from tests.postgresql_server import private, required
from tests.reliability.ledger import Ledger, Stored
from tests.reliability.traffic import DAY, REFUND, TYPES, Traffic
from tests.reliability.victims import Victim
from tests.reliability.waiting import let_marks_expire
from tests.serving import create, open_store, wait_until_ready
from tests.store_rows import buckets, rebuilt

ROUNDS = int(os.environ.get("LOGSERVICE_TEST_KILL_ROUNDS", "0"))
SEED = int(os.environ.get("LOGSERVICE_TEST_KILL_SEED", "0")) or secrets.randbelow(10**6)
#: Sums and the file itself are looked at after so many rounds, rows after each.
SUMS_AFTER = 5


@pytest.fixture(params=["sqlite", "postgresql"])
def victim(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Victim]:
    """A service that takes requests, and on PostgreSQL the server that it has for itself."""
    with ExitStack() as stack:
        server = stack.enter_context(required(private())) if request.param == "postgresql" else None
        url = f"sqlite:///{tmp_path / 'logservice.db'}"
        if server is not None:
            server.create_database("log")
            url = server.url("log")
        create(url)
        found = Victim(tmp_path, url, Ledger(), server)
        stack.callback(found.end)
        wait_until_ready(found.service)
        yield found
    assert_nothing_leaked(tmp_path)


def test_what_was_acknowledged_outlives_every_kill(victim: Victim) -> None:
    print(f"seed {SEED}")
    draw, ledger, deaths, began = random.Random(SEED), victim.ledger, Counter[str](), time.monotonic()
    ways = victim.ways()
    with Traffic(victim.port, ledger, seed=SEED).under_way():
        for number, way in zip(range(1, (ROUNDS or len(ways)) + 1), _drawn(ways, draw), strict=False):
            time.sleep(draw.uniform(0.3, 1.5))
            victim.die(way, draw)
            deaths[way] += 1
            assert_kept(victim, sums=number % SUMS_AFTER == 0, when=f"round {number}, {way}")
            print(f"{time.monotonic() - began:.0f} s: round {number}, {way}", flush=True)
        time.sleep(0.5)
    assert_kept(victim, sums=True, when="the end")
    assert_usage_is_that_of_all_events(victim)
    figures = ledger.figures()
    print(f"{time.monotonic() - began:.0f} s: {dict(deaths)}, {figures}")
    # Or nothing would have been shown.
    assert figures["events_acknowledged"] > 0
    if sum(deaths.values()) >= len(ways):
        assert figures["batches_sent_again"] > 0 < figures["purges"], figures


def _drawn(ways: list[str], draw: random.Random) -> Iterator[str]:
    """Yield the ways as they come, and then in any order, all of them equally often."""
    yield from ways
    while True:
        yield from draw.sample(ways, len(ways))


def assert_kept(victim: Victim, *, sums: bool, when: str) -> None:
    """Check that the database holds what the ledger says, beside clients that go on."""
    looked = time.monotonic()
    with closing(open_store(victim.url)) as store:
        # Of a purge that was killed.
        let_marks_expire(store)
        rows = rows_of(store)
        faults = victim.ledger.faults(rows, looked=looked)
        assert not faults, (when, {kind: (len(found), found[:5]) for kind, found in faults.items()})
        if sums:
            report = store.check(full=True).complete()
            assert report.is_sound, (when, report.to_mapping())
            if victim.server is None:
                assert _integrity(victim.folder / "logservice.db") == ["ok"], when


def rows_of(store: LogStore) -> list[Stored]:
    names = ("request_id", "type", "username", "model_name", "quota")
    said = select(tables.records.c.id, *(tables.records.c[name] for name in names), content_of_row)
    with store.reading() as connection:
        return [
            Stored(**dict(zip(names, found, strict=True)), created_at=ids.second_of(row_id), content=content)
            for row_id, *found, content in connection.execute(said)
        ]


def _integrity(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [line for (line,) in connection.execute("PRAGMA integrity_check")]


def assert_usage_is_that_of_all_events(victim: Victim) -> None:
    """Check sums against rows built anew, and the usage of all that ever was against the ledger."""
    with closing(open_store(victim.url)) as store:
        list(store.purge(Purge(int(time.time()) - DAY, log_type=REFUND, keep_usage=True)))
        rows = rows_of(store)
        gone = {row for batch in victim.ledger.batches if batch.may_go for row in batch.rows()}
        assert gone.isdisjoint(rows)
        assert quota(store) == sum(row.quota for row in (*rows, *gone))
        assert buckets(store) == rebuilt(store)


def quota(store: LogStore) -> int:
    """Return the quota of all rows, and of those that are gone."""
    asked = (store.statistics(Scope.site(), Filters(), between(), asked=one) for one in TYPES)
    return sum(found["quota"] for found in asked)

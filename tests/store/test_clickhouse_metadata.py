"""Rows on ClickHouse and their metadata: on PostgreSQL, as several machines share them, or amiss."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from logservice import create_app
from logservice.errors import Unavailable
from logservice.store import ids
from logservice.store.clickhouse.ids import Ids
from logservice.store.clickhouse.store import ClickHouseStore
from logservice.store.idempotency import IdempotencyKey
from logservice.store.retention import Purge
from logservice.store.store import LogStore
from tests.clean_databases import CleanDatabases
from tests.clickhouse_engine import Engine
from tests.store_rows import (
    ALL,
    DAY,
    EVER,
    MIDNIGHT,
    NOW,
    SITE,
    at_once,
    make_record,
    make_records,
    raw_rows,
    row_ids,
)
from tests.stores import open_log, rename

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def stores(clickhouse: Engine, clean_databases: CleanDatabases, tmp_path: Path) -> Iterator[list[LogStore]]:
    """Four stores on the same log, as four machines would have them."""
    with clickhouse.lent() as url, clean_databases.lent() as metadata:
        found = [open_log(url, tmp_path, metadata=metadata, clock=lambda: NOW) for _ in range(4)]
        yield found
        for store in found:
            store.close()


def test_processes_of_several_machines_give_ids_of_their_own(stores: list[LogStore]) -> None:
    new = [make_records(50, seed=seed, days=1) for seed in range(16)]

    outcomes = at_once(
        [lambda store=stores[place % 4], some=some: store.record(some) for place, some in enumerate(new)]
    )

    assert outcomes == [""] * 16
    rows = raw_rows(stores[0])
    assert len({row["id"] for row in rows}) == len(rows) == 800
    assert all(ids.second_of(row["id"]) == row["created_at"] for row in rows)
    assert isinstance(stores[0], ClickHouseStore)
    numbers = {row["id"] % ids.SEQUENCES >> 17 for row in rows}
    assert len(numbers) == 4


def test_long_writes_of_one_process_at_once_give_ids_of_their_own(
    stores: list[LogStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stores[0]
    found = Ids._places

    def slowly(*args: Any) -> Iterator[int]:
        places = found(*args)
        time.sleep(0.02)
        return places

    one.record([make_record()])
    monkeypatch.setattr(Ids, "_places", slowly)
    new = [make_record(created_at=NOW, content=str(place)) for place in range(50)]

    outcomes = at_once([lambda: one.write(partial(one.insert, new=new), is_long=True)] * 4)

    assert outcomes == [50] * 4
    found_ids = row_ids(raw_rows(one))
    assert len(set(found_ids)) == len(found_ids) == 201


def test_of_repeats_on_several_machines_at_once_one_is_stored(stores: list[LogStore]) -> None:
    key = IdempotencyKey.of("gateway", "/api/log/", "once", b"body")

    outcomes = at_once(
        [
            lambda store=store, answer=str(place): store.record([make_record()], key=key, answer=answer)
            for place, store in enumerate(stores)
        ]
    )

    assert len(set(outcomes)) == 1
    assert len(raw_rows(stores[0])) == 1


def test_whoever_is_new_on_several_machines_at_once_is_one(stores: list[LogStore]) -> None:
    at_once(
        [lambda store=store: store.record([make_record(username=name) for name in "ab"]) for store in stores]
    )

    owners = {(row["user_id"], row["username"]) for row in raw_rows(stores[0])}
    assert len(owners) == 2


def test_rows_that_arrive_beside_a_purge_on_another_machine_are_counted_right(stores: list[LogStore]) -> None:
    one, other, *_ = stores
    one.record(make_records(300, days=40))
    quota = one.statistics(SITE, ALL, EVER, asked=2)["quota"]

    running = one.purge(Purge(MIDNIGHT - 10 * DAY, keep_usage=True), batch=40)
    for place, _ in enumerate(running):
        other.record([make_record(quota=1000, created_at=MIDNIGHT - place)])
        quota += 1000
        assert other.statistics(SITE, ALL, EVER, asked=2)["quota"] == quota

    assert all(row["created_at"] >= MIDNIGHT - 10 * DAY for row in raw_rows(other))
    assert one.statistics(SITE, ALL, EVER, asked=2)["quota"] == quota


def test_tables_are_made_once_the_server_is_back(clickhouse: Engine, tmp_path: Path) -> None:
    with closing(open_log(clickhouse.url("new_one"), tmp_path)) as store:
        assert isinstance(store, ClickHouseStore)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(store.sessions, "_connected", _away(store))
            with pytest.raises(Unavailable, match="does not answer"):
                store.count_all()

        assert store.count_all() == 0
        store.sessions.create(["DROP DATABASE new_one SYNC"])


def _away(store: ClickHouseStore) -> Any:
    def connected(**_: Any) -> None:
        raise store.sessions.driver.OperationalError("refused")

    return connected


def test_metadata_with_rows_of_their_own_are_refused(clickhouse: Engine, tmp_path: Path) -> None:
    with closing(open_log("sqlite:///logservice.db", tmp_path)) as plain:
        plain.record([make_record()])

    refused = pytest.raises(Unavailable, match="LOGSERVICE_META_URL names a log with rows of its own")
    with clickhouse.lent() as url, closing(open_log(url, tmp_path)) as store, refused:
        store.record([make_record()])


def test_metadata_that_are_new_beside_rows_are_refused(clickhouse: Engine, tmp_path: Path) -> None:
    with clickhouse.lent() as url:
        with closing(open_log(url, tmp_path)) as store:
            store.record([make_record()])
        with closing(open_log(url, tmp_path, metadata="sqlite:///other.db")) as store:
            for ask in (store.create, store.count_all, lambda: store.record([make_record()])):
                with pytest.raises(Unavailable, match="nobody: name those"):
                    ask()


def test_a_table_that_is_away_is_not_begun_anew(clickhouse: Engine, tmp_path: Path) -> None:
    with clickhouse.lent() as url, closing(open_log(url, tmp_path)) as store:
        store.record([make_record()])
        rename(store, "log_records", "away")
        with closing(open_log(url, tmp_path)) as other, pytest.raises(Unavailable, match="init-db"):
            other.count_all()


def test_a_log_becomes_smaller_by_the_rows_that_are_deleted(clickhouse: Engine, tmp_path: Path) -> None:
    with clickhouse.lent() as url, closing(open_log(url, tmp_path)) as store:
        store.record(make_records(2000, days=20))
        before = store.size()

        list(store.purge(Purge(MIDNIGHT - 10 * DAY, 2)))

        left = store.count_all()
        assert store.size() == pytest.approx(before * left / 2000, rel=0.5)
        assert left < 1900


def test_more_workers_than_the_embedded_engine_lets_in_are_refused(tmp_path: Path) -> None:
    app = create_app({"LOGSERVICE_DATABASE_URL": "clickhouse+chdb:///rows"}, instance_path=str(tmp_path))

    result = app.test_cli_runner().invoke(args=["logservice", "serve", "--workers", "2"])

    assert result.exit_code == 1
    assert "LOGSERVICE_WORKERS: has to be 1" in result.output
    assert not (tmp_path / "rows").exists()

"""A gateway moves in and goes on: what is new comes, whatever is not that gateway is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from logservice.errors import InvalidValue, Unavailable
from logservice.imports import databases, reading
from logservice.imports.databases import open_database
from logservice.store import dialects
from logservice.store.store import LogStore
from tests.gateways.flavours import FLAVOURS, Filled, add, create, engine_of, fill
from tests.imports.conftest import Import
from tests.imports.expected import can_be_stored, facts_in, facts_of
from tests.rows import NOW
from tests.store_rows import buckets, raw_rows, rebuilt

ROWS = 1500


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH", 400)


@pytest.fixture(params=list(FLAVOURS))
def filled(gateway: Engine, request: pytest.FixtureRequest) -> Filled:
    """A gateway of each flavour with rows of every kind."""
    create(gateway, request.param)
    return fill(gateway, request.param, rows=ROWS)


#: What does not depend on the engine of the gateway is tried on one.
on_sqlite = pytest.mark.parametrize("gateway_engine", ["sqlite"], indirect=True)


def new_api(gateway: Engine, rows: int = ROWS) -> Filled:
    create(gateway, "new-api-2026")
    return fill(gateway, "new-api-2026", rows=rows)


def execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


@contextmanager
def beside(folder: Path, name: str) -> Iterator[tuple[Engine, str]]:
    """Give the database of another gateway, and its URL."""
    url = f"sqlite:///{folder / name}.db"
    engine = engine_of(url)
    yield engine, url
    engine.dispose()


@on_sqlite
def test_what_new_api_keeps_in_other_is_found_in_columns(
    gateway: Engine, take: Import, log: LogStore
) -> None:
    filled = new_api(gateway)

    take()

    said = [
        json.loads(row["other"]) for row in filled.logs if (row["other"] or "").startswith('{"model_ratio"')
    ]
    assert sum(row["cached_tokens"] for row in raw_rows(log)) >= sum(
        other.get("cache_tokens", 0) for other in said
    )
    assert all(row["first_token_ms"] >= 0 for row in raw_rows(log))
    assert any(row["first_token_ms"] > 0 for row in raw_rows(log))


# Going on


def test_a_second_import_takes_what_is_new(
    filled: Filled, gateway: Engine, take: Import, log: LogStore
) -> None:
    take()
    assert sum(batch.rows for batch in take()) == 0

    more = add(gateway, filled, rows=300)
    assert sum(batch.rows for batch in take()) == sum(map(can_be_stored, more.logs))

    assert facts_in(log) == facts_of(filled, more)


@on_sqlite
def test_a_gateway_is_known_again_wherever_it_lies(
    gateway: Engine, take: Import, log: LogStore, tmp_path: Path
) -> None:
    new_api(gateway)
    take()
    gateway.dispose()
    shutil.copy(tmp_path / "gateway.db", tmp_path / "moved.db")

    assert sum(batch.rows for batch in take(f"sqlite:///{tmp_path / 'moved.db'}")) == 0


@on_sqlite
def test_old_rows_may_be_purged_at_the_gateway(gateway: Engine, take: Import, log: LogStore) -> None:
    filled = new_api(gateway)
    take()
    execute(gateway, "DELETE FROM logs WHERE id < (SELECT max(id) - 20 FROM logs)")
    more = add(gateway, filled, rows=100)
    take()
    execute(gateway, "DELETE FROM logs")
    take()
    # The database counts on from the highest id that it ever gave.
    execute(gateway, f"INSERT INTO logs (created_at, type, user_id) VALUES ({NOW}, 2, 1), ({NOW}, 2, 2)")
    take()

    assert len(facts_in(log)) == sum(map(can_be_stored, [*filled.logs, *more.logs])) + 2


@on_sqlite
def test_another_gateway_is_refused_and_taken_only_on_request(
    gateway: Engine, take: Import, log: LogStore, tmp_path: Path
) -> None:
    filled = new_api(gateway)
    take()
    with beside(tmp_path, "other") as (other, url):
        create(other, "new-api-2026")
        theirs = fill(other, "new-api-2026", rows=200, seed=2)

    with pytest.raises(InvalidValue, match="not the log that was imported before"):
        take(url)
    assert facts_in(log) == facts_of(filled)

    take(url, anew=True)
    assert facts_in(log) == facts_of(filled, theirs)


@on_sqlite
def test_a_log_that_was_set_back_and_went_on_otherwise_is_refused(
    gateway: Engine, take: Import, log: LogStore, tmp_path: Path
) -> None:
    filled = new_api(gateway)
    gateway.dispose()
    shutil.copy(tmp_path / "gateway.db", tmp_path / "backup.db")
    add(gateway, filled, rows=300)
    take()
    with beside(tmp_path, "backup") as (backup, url):
        execute(
            backup, f"INSERT INTO logs (created_at, type, user_id) SELECT {NOW}, 2, id FROM logs LIMIT 900"
        )

    with pytest.raises(InvalidValue, match="set back"):
        take(url)


@on_sqlite
def test_a_log_that_ends_earlier_than_before_goes_on_from_there(
    gateway: Engine, take: Import, log: LogStore
) -> None:
    filled = new_api(gateway)
    take()
    execute(gateway, "DELETE FROM logs WHERE id > (SELECT max(id) - 3 FROM logs)")
    assert sum(batch.rows for batch in take()) == 0

    with gateway.connect() as connection:
        last = connection.scalar(text("SELECT max(id) FROM logs"))
    execute(gateway, f"INSERT INTO logs (id, created_at, type, user_id) VALUES ({last + 1}, {NOW}, 2, 1)")

    # The id was used before: whether it is the row of that time or a new one decides.
    with pytest.raises(InvalidValue, match="set back"):
        take()
    execute(gateway, "DELETE FROM logs WHERE id = (SELECT max(id) FROM logs)")
    execute(gateway, f"INSERT INTO logs (created_at, type, user_id) VALUES ({NOW}, 2, 1)")
    assert sum(batch.rows for batch in take()) == 1
    assert len(facts_in(log)) == len(facts_of(filled)) + 1


@on_sqlite
def test_another_gateway_with_an_empty_log_is_refused(
    gateway: Engine, take: Import, log: LogStore, tmp_path: Path
) -> None:
    filled = new_api(gateway)
    take()
    columns = "username, password, role, status, access_token"
    with beside(tmp_path, "fresh") as (fresh, url):
        create(fresh, "new-api-2026")
        execute(fresh, f"INSERT INTO users ({columns}) VALUES ('root', 'p', 100, 1, 'x')")

    with pytest.raises(InvalidValue, match="not the log that was imported before"):
        take(url)
    assert log.user_of("x") is None
    assert any(log.user_of((user["access_token"] or "").strip()) for user in filled.users)


@on_sqlite
def test_a_log_that_was_taken_anew_goes_on_from_there(gateway: Engine, take: Import, log: LogStore) -> None:
    filled = new_api(gateway)
    take()
    more = add(gateway, filled, rows=100)
    take(anew=True)

    assert sum(batch.rows for batch in take()) == 0
    assert len(facts_in(log)) == 2 * len(facts_of(filled)) + len(facts_of(more))


@on_sqlite
def test_a_token_that_was_made_anew_gets_the_rows_of_its_name(
    gateway: Engine, take: Import, log: LogStore
) -> None:
    create(gateway, "one-api-2025")
    execute(gateway, "INSERT INTO users (id, username, password, role, status) VALUES (2, 'bob', 'p', 1, 1)")
    token = "INSERT INTO tokens (id, user_id, name, key, status) VALUES ({0}, 2, 'default', 'key-{0}', 1)"
    row = f"INSERT INTO logs (created_at, type, user_id, token_name) VALUES ({NOW}, 2, 2, 'default')"
    for statement in (token.format(1), row):
        execute(gateway, statement)
    take()
    for statement in ("DELETE FROM tokens", token.format(2), row):
        execute(gateway, statement)
    take()

    assert [found["token_id"] for found in raw_rows(log)] == [1, 2]


def test_rows_whose_lower_ids_came_late_are_taken(gateway: Engine, take: Import, log: LogStore) -> None:
    filled = new_api(gateway, rows=50)
    take()
    last = max(row["id"] for row in filled.logs)
    later = f"INSERT INTO logs (id, created_at, type, user_id, quota) VALUES ({last + 9}, {NOW}, 2, 1, 9)"
    execute(gateway, later)
    take()

    for row_id in (last + 3, last + 8):
        execute(gateway, later.replace(str(last + 9), str(row_id)))
        assert sum(batch.rows for batch in take()) == 1
        assert sum(batch.rows for batch in take()) == 0

    assert len(facts_in(log)) == len(facts_of(filled)) + 3


@on_sqlite
def test_the_store_s_other_engine_holds_the_same(gateway: Engine, take: Import, db_url: str) -> None:
    filled = new_api(gateway)
    engine = create_engine(**dialects.engine_settings(db_url, ""))
    with closing(LogStore(engine, clock=lambda: NOW)) as store:
        take(store=store)
        take(store=store)

        assert facts_in(store) == facts_of(filled)
        assert buckets(store) == rebuilt(store)


# What is wrong


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "the URL cannot be read"),
        ("oracle://somewhere/x", "oracle: no database that can be imported"),
        ("sqlite:///no-such-file.db", "no-such-file.db: there is no such file"),
    ],
)
def test_a_url_that_leads_nowhere_is_one_clear_line(url: str, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        open_database(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://nobody:secret@127.0.0.1:1/gateway",
        "mysql://nobody:secret@127.0.0.1:1/gateway",
        "nobody:secret@tcp(127.0.0.1:1)/gateway?parseTime=true",
    ],
)
def test_a_server_that_is_not_there_is_said_without_the_password(url: str) -> None:
    with pytest.raises(Unavailable, match="the gateway's database") as failure:
        open_database(url)

    assert "secret" not in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DROP TABLE logs", "no table logs"),
        ("ALTER TABLE logs DROP COLUMN quota", "no column quota"),
    ],
)
def test_a_missing_table_or_column_is_named(
    gateway: Engine, gateway_url: str, statement: str, reason: str
) -> None:
    new_api(gateway, rows=50)
    execute(gateway, statement)

    with pytest.raises(InvalidValue, match=reason):
        open_database(gateway_url)


def test_a_log_without_users_beside_it_is_taken(gateway: Engine, take: Import, log: LogStore) -> None:
    filled = new_api(gateway, rows=50)
    for name in ("users", "tokens", "channels"):
        execute(gateway, f"DROP TABLE {name}")

    take()

    assert len(facts_in(log)) == len(facts_of(filled))


@on_sqlite
def test_text_that_is_none_does_not_end_an_import(gateway: Engine, take: Import, log: LogStore) -> None:
    filled = new_api(gateway, rows=50)
    execute(
        gateway, "UPDATE logs SET content = CAST(x'616263ff' AS TEXT) WHERE id = (SELECT max(id) FROM logs)"
    )

    take()

    assert len(facts_in(log)) == len(facts_of(filled))
    assert any(row["content"] == "abc\ufffd" for row in raw_rows(log))


@on_sqlite
def test_nothing_is_written_at_the_gateway(gateway: Engine, gateway_url: str) -> None:
    new_api(gateway, rows=50)
    with closing(open_database(gateway_url)) as database, pytest.raises(Unavailable, match="readonly"):
        database._asked(lambda connection: connection.execute(text("DELETE FROM logs")))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u:secret@127.0.0.1:1/x?ssl_ca=/none.pem", "ssl_ca: /none.pem: there is no such file"),
        ("mysql://u:secret@127.0.0.1:1/x?colour=red", "an option that is not known here: colour"),
    ],
)
def test_options_of_a_url_that_mean_nothing_are_named(url: str, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        open_database(url)


def test_options_of_a_gateway_s_own_driver_are_passed_over() -> None:
    with pytest.raises(Unavailable, match="the gateway's database"):
        open_database("mysql://u:secret@127.0.0.1:1/x?parseTime=True&charset=utf8mb4&loc=Local")


def test_go_s_way_of_naming_a_database_is_understood() -> None:
    url: Any = databases._parsed("root:p@ss:w/rd@tcp(db.example:3307)/oneapi?charset=utf8mb4")

    assert (url.username, url.password, url.host, url.port, url.database) == (
        "root",
        "p@ss:w/rd",
        "db.example",
        3307,
        "oneapi",
    )

"""From version to version: databases of older programs, and those of newer ones, beside others that run."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import pytest
from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    Table,
    delete,
    insert,
    inspect,
    text,
)
from sqlalchemy.exc import DBAPIError

from logservice.errors import Unavailable
from logservice.store import schema, search
from logservice.store.contents import digest
from logservice.store.migrations.versions import v0002_contents_and_spans as second_step
from logservice.store.store import LogStore
from logservice.store.tables import records
from tests.store.versions import bring_to, description, version
from tests.store_rows import (
    ALL,
    DAY,
    EVER,
    FIELDS,
    HOUR,
    MIDNIGHT,
    SITE,
    at_once,
    buckets,
    contents,
    make_record,
    raw_rows,
    rebuilt,
)

# Old databases

#: Rows of the first version: second, user, content. Two of an hour say the same.
OLD_ROWS = [
    (MIDNIGHT - DAY, "alice", "Straße 7"),
    (MIDNIGHT - DAY + 1, "alice", "needle"),
    (MIDNIGHT - DAY + 2, "bob", "needle"),
    (MIDNIGHT - HOUR, "bob", "needle"),
    (MIDNIGHT - HOUR, "bob", ""),
]


def fill_first_version(connection: Connection) -> None:
    """Put rows, their buckets, and usage kept from purged rows into tables of the first version."""
    metadata = MetaData()
    metadata.reflect(connection, only=lambda name, _: not name.startswith("log_content_index"))
    tables = metadata.tables
    hour = {"token_id": 0, "token_name": "", "model_name": "gpt-4o", "channel_id": 3, "group": "default"}
    for place, (second, username, content) in enumerate(OLD_ROWS):
        user = {"user_id": ord(username[0]), "username": username}
        row = {"id": (second << 21) + place, "type": 2, "quota": 10, "is_stream": True, "other": '{"a":1}'}
        connection.execute(insert(tables["log_records"]).values(**row, **user, **hour, content=content))
    kept = {"bucket": MIDNIGHT - 3 * DAY + 900, "retained": 1, "type": 2, "quota": 500, "requests": 5}
    alice = {"user_id": ord("a"), "username": "alice"}
    connection.execute(insert(tables["log_usage_hourly"]).values(**kept, **alice, **hour))
    _count_hours(connection, tables["log_usage_hourly"])


def _count_hours(connection: Connection, hourly: Table) -> None:
    hours = """
        INSERT INTO log_usage_hourly (bucket, retained, type, user_id, username, token_id, token_name,
            model_name, channel_id, "group", rows, requests, quota)
        SELECT (id >> 21) - (id >> 21) % 3600, 0, type, user_id, username, token_id, token_name,
            model_name, channel_id, "group", count(*), count(*), sum(quota) FROM log_records
        GROUP BY (id >> 21) - (id >> 21) % 3600, type, user_id, username, token_id, token_name,
            model_name, channel_id, "group"
    """
    connection.execute(text(hours.replace(" rows,", f" {hourly.c.rows.name},")))


#: The versions there were before this one; of the first the database itself may not say which it is.
OLD_VERSIONS = ["unwritten", *sorted(schema._known())[:-1]]
every_old_version = pytest.mark.parametrize("old", OLD_VERSIONS, indirect=True)


@pytest.fixture(params=["0001", "unwritten"])
def old(engine: Engine, request: pytest.FixtureRequest) -> Engine:
    """A database of an older version with rows, of the first unless a test asks for others."""
    bring_to(engine, "0001")
    with engine.begin() as connection:
        fill_first_version(connection)
        if engine.name == "sqlite":
            connection.execute(text("CREATE VIRTUAL TABLE log_content_index USING fts5(content, content='')"))
        if request.param == "unwritten":
            connection.execute(text("DROP TABLE log_alembic_version"))
    if request.param != "unwritten":
        bring_to(engine, request.param)
    return engine


def found(store: LogStore, keyword: str) -> list[str]:
    return contents(store.search(SITE, ALL, EVER, keyword, fields=FIELDS, limit=100))


@every_old_version
def test_an_old_database_is_brought_up_with_all_it_holds(
    old: Engine, open_bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FEW_ROWS", 0)
    store = open_bare()

    rows = raw_rows(store)

    assert [(row["created_at"], row["username"], row["content"]) for row in rows] == OLD_ROWS
    assert {(row["quota"], row["is_stream"], row["other"]) for row in rows} == {(10, True, '{"a":1}')}
    assert store.count_all() == 5
    figures = store.statistics(SITE, ALL, EVER, asked=2)
    assert (figures["quota"], figures["requests"]) == (550, 10)
    assert found(store, "STRASSE") == ["Straße 7"]
    assert found(store, "needle") == ["needle"] * 3
    assert buckets(store) == rebuilt(store)
    assert version(old) == schema._known()[0]


def test_what_is_written_afterwards_stands_beside_it(old: Engine, open_bare: Any) -> None:
    store = open_bare()

    store.record([make_record(content="needle", created_at=MIDNIGHT - HOUR + 5)])

    assert len(raw_rows(store)) == 6
    assert found(store, "needle") == ["needle"] * 4
    assert buckets(store) == rebuilt(store)


@every_old_version
def test_a_worker_of_the_old_program_reads_on_and_sees_no_half_of_it(old: Engine, open_bare: Any) -> None:
    reads = OldReads(old)
    thread = threading.Thread(target=reads.go_on)
    thread.start()
    reads.wait_for_some()

    open_bare().create()

    reads.ended.set()
    thread.join(60)
    assert not thread.is_alive()
    assert reads.found == {tuple(OLD_ROWS)}
    assert version(old) == schema._known()[0]


class OldReads:
    """Reads by the statement of a version, again and again, until the database says no or they are ended."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        texts = inspect(engine).has_table("log_contents")
        content = "coalesce(said.content, '')" if texts else "log_records.content"
        joined = " LEFT JOIN log_contents AS said ON said.id = log_records.content_id" if texts else ""
        columns = f"log_records.id >> 21, username, {content}"
        self._rows = text(f"SELECT {columns} FROM log_records{joined} ORDER BY log_records.id")
        self.ended = threading.Event()
        self.found: set[tuple[Any, ...]] = set()
        self._times = 0

    def go_on(self) -> None:
        # Once its columns are gone that is said, and no row is made up.
        with suppress(DBAPIError):
            while not self.ended.is_set():
                with self._engine.begin() as connection:
                    # Twice, so that what changes meanwhile shows.
                    self.found |= {tuple(map(tuple, connection.execute(self._rows))) for _ in range(2)}
                self._times += 1

    def wait_for_some(self) -> None:
        deadline = time.monotonic() + 30
        while self._times < 3:
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_several_that_bring_it_up_at_once_do_so_once(old: Engine, open_bare: Any) -> None:
    stores = [open_bare() for _ in range(4)]

    assert at_once([store.count_all for store in stores]) == [5] * 4
    assert len(raw_rows(stores[0])) == 5


def test_without_leave_to_create_it_stays_as_it_is(old: Engine, open_bare: Any) -> None:
    with pytest.raises(Unavailable, match=r"older schema.*init-db"):
        open_bare(auto_create=False).count_all()

    assert "log_usage_daily" in inspect(old).get_table_names()


def test_a_step_that_fails_leaves_it_as_it_was(
    old: Engine, open_bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = description(old)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(schema.command, "upgrade", lambda config, _: _up_to_half(config, fail))
        with pytest.raises(Unavailable, match="No space left"):
            open_bare().create()

    assert {name: table for name, table in description(old).items() if name != schema.VERSION_TABLE} == {
        name: table for name, table in before.items() if name != schema.VERSION_TABLE
    }
    assert len(raw_rows(open_bare())) == 5


def _up_to_half(config: Any, fail: Any) -> None:
    """Do what the second step does first, and then fail."""
    connection = config.attributes["connection"]
    connection.execute(text("ALTER TABLE log_records RENAME TO log_records_old"))
    connection.execute(text("DELETE FROM log_records_old"))
    fail()


def test_the_digest_of_the_step_is_that_of_the_store() -> None:
    """Texts that were copied must be found again by those who write the same."""
    plainly = int.from_bytes(blake2b("Straße".encode(), digest_size=8).digest(), "big", signed=True)
    assert second_step._digest("Straße") == digest("Straße") == plainly


# Databases from the future

#: A newer program brings the schema up to a version that this one does not know.
BROUGHT_UP = text("UPDATE log_alembic_version SET version_num = '9999'")
REFUSED = rf"schema version 9999, .* knows up to {schema._known()[0]}: install the one that made it"


def test_a_newer_database_is_refused_with_both_versions(open_bare: Any, engine: Engine) -> None:
    running = open_bare()
    running.record([make_record()])
    before = raw_rows(running)
    with engine.begin() as connection:
        connection.execute(BROUGHT_UP)

    # Those that run already find out as well as those that are started, for reading and for writing.
    for store in (running, open_bare()):
        for call in (
            store.be_ready,
            store.count_all,
            store.count_raw,
            lambda store=store: store.record([make_record()]),
            lambda store=store: store.write(lambda connection: connection.execute(delete(records))),
            lambda store=store: store.write(lambda connection: None, is_long=True),
        ):
            with pytest.raises(Unavailable, match=REFUSED):
                call()
    with pytest.raises(Unavailable, match=REFUSED):
        open_bare().create()

    assert version(engine) == "9999"
    with engine.begin() as connection:
        assert len(connection.execute(text("SELECT id FROM log_records")).all()) == len(before) == 1


def test_what_is_written_while_a_newer_program_brings_it_up_is_refused(
    open_bare: Any, engine: Engine
) -> None:
    running, newer, outcomes = open_bare(), open_bare(), []
    running.create()

    def write() -> None:
        try:
            outcomes.append(running.record([make_record()]))
        except Unavailable as error:
            outcomes.append(str(error))

    writer = threading.Thread(target=write)

    def bring_up(connection: Connection) -> None:
        writer.start()
        # Time enough to write, if that were not kept waiting.
        writer.join(0.5)
        connection.execute(BROUGHT_UP)

    newer.dialect.create(bring_up)
    writer.join(30)

    assert re.search(REFUSED, outcomes[0])
    with engine.begin() as connection:
        assert connection.execute(text("SELECT id FROM log_records")).all() == []

"""SQLite's file deleted, replaced, locked or full: a clear answer, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import create_engine

from logservice.errors import Unavailable
from logservice.store import dialects
from logservice.store.dialects.sqlite import SQLiteDialect
from logservice.store.store import LogStore
from tests.answers import assert_error, assert_ok
from tests.failing import READS, assert_failing, assert_not_writing, everything
from tests.rows import GATEWAY, NOW, ROOT, contents, make_event, post
from tests.store_rows import make_record, raw_rows

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")
ROOM = Path(__file__).parents[2]


@pytest.fixture
def file(store: LogStore) -> Path:
    """The file of the database."""
    assert isinstance(store.dialect, SQLiteDialect)
    return store.dialect.path


def test_a_deleted_database_is_an_error_and_not_made_anew(client: FlaskClient, file: Path) -> None:
    post(client, make_event())
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()
    for _ in range(2):
        assert_failing(client, file.name)
    assert not file.exists()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503


def test_a_database_deleted_before_the_first_write_is_not_made_anew(client: FlaskClient, file: Path) -> None:
    file.unlink()
    assert_not_writing(client, file.name)
    assert not file.exists()


def test_no_new_log_empties_the_write_ahead_log_of_one_that_is_missing(
    client: FlaskClient, file: Path, tmp_path: Path
) -> None:
    post(client, make_event(content="the last"))
    # As they lie there after a kill, or while the service runs.
    left = tmp_path / "left"
    left.mkdir()
    database, wal = (Path(shutil.copy(f"{file}{end}", left)) for end in ("", "-wal"))
    hidden, held = database.rename(tmp_path / "hidden"), wal.read_bytes()

    with closing(LogStore(create_engine(**dialects.engine_settings(f"sqlite:///{database}", "")))) as store:
        with pytest.raises(Unavailable, match=f"{file.name} is missing, and {wal.name} is there"):
            store.record([make_record()])
        assert not database.exists()
        assert wal.read_bytes() == held

        hidden.rename(database)
        assert contents(raw_rows(store)) == ["the last"]


def test_a_database_that_comes_back_is_used_again(client: FlaskClient, file: Path) -> None:
    post(client, make_event(content="before"))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("VACUUM INTO ?", [str(file.with_name("copy"))])
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()
    assert_failing(client, file.name)
    file.with_name("copy").rename(file)
    post(client, make_event(content="after"))
    assert contents(assert_ok(client.get("/api/log/", headers=ROOT))["items"]) == ["after", "before"]


@pytest.mark.parametrize("content", [b"", b"this is no database at all, but a text file" * 100])
def test_a_database_replaced_by_another_file_is_an_error(
    client: FlaskClient, file: Path, content: bytes
) -> None:
    post(client, make_event())
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()
    file.write_bytes(content)
    assert_failing(client)
    assert file.read_bytes() == content


def test_a_database_that_is_a_folder_is_an_error(client: FlaskClient, file: Path) -> None:
    post(client, make_event())
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()
    file.mkdir()
    assert_failing(client)


# Run by somebody whom permissions bind, which they do not root.
READ_ONLY = """
import encodings.idna, json, os, sys
from logservice import create_app
from tests.rows import ALICE, ALICE_KEY, GATEWAY, NOW, ROOT, make_event
from tests.failing import READS

folder, url = sys.argv[1:]
app = create_app({"LOGSERVICE_DATABASE_URL": url}, instance_path=folder)
client = app.test_client()
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
answers = [client.get(path, headers=who) for path, who, _ in READS]
answers.append(client.post("/api/log/", json=make_event(content="new"), headers=GATEWAY))
answers.append(client.delete(f"/api/log/?target_timestamp={NOW}", headers=ROOT))
print(json.dumps([[a.status_code, a.headers.get("Retry-After"), a.get_json()] for a in answers]))
"""


def answers_where_nothing_may_be_written(file: Path, folder: Path, *, keep: str) -> list[Any]:
    """Copy a database to a place where `keep`, "file" or "folder", may not be written; ask everything."""
    copy = folder / "log.db"
    copy.write_bytes(file.read_bytes())
    if keep == "file":
        folder.chmod(0o777)
        copy.chmod(0o444)
    else:
        copy.chmod(0o666)
        folder.chmod(0o555)
    script = [sys.executable, "-c", READ_ONLY, str(folder), f"sqlite:///{copy}"]
    done = subprocess.run(script, cwd=ROOM, capture_output=True, text=True, timeout=60, check=False)
    folder.chmod(0o777)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("keep", ["file", "folder"])
def test_a_database_that_may_only_be_read_is_told_to_writers(
    client: FlaskClient, store: LogStore, file: Path, keep: str
) -> None:
    import tempfile

    post(client, make_event(content="old"))
    store.close()
    # Not below pytest's own folder, which nobody but its owner may enter.
    with tempfile.TemporaryDirectory() as folder:
        answers = answers_where_nothing_may_be_written(file, Path(folder), keep=keep)
    for status, retry, body in answers[-2:]:
        assert status == 503
        assert int(retry) > 0
        assert body["success"] is False
        assert body["message"]
    # Whether a read works depends on whether SQLite can open its log beside the file; it never half works.
    for (status, retry, body), (_, _, message) in zip(answers[:-2], READS, strict=True):
        assert status == 200 or (status, body["message"]) == (503, message)
        assert retry or status == 200


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    client: FlaskClient, store: LogStore, file: Path
) -> None:
    post(client, make_event(content="before"))
    before = everything(store)
    store.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1").fetchall())
    events = [make_event(content=os.urandom(30_000).hex()) for _ in range(40)]
    answer = client.post("/api/log/", json=events, headers=GATEWAY)
    assert_error(answer, 503, "full")
    assert everything(store) == before
    post(client, make_event(content="after"))


@contextmanager
def locked(file: Path, statement: str) -> Iterator[None]:
    """Hold a lock on the file, as another program may."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute(statement)
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_database_locked_too_long_is_told_and_works_again_afterwards(
    client: FlaskClient, client_with: Any, store: LogStore, file: Path, statement: str
) -> None:
    store.close()
    client = client_with(WAITING_TIME="0.5")
    post(client, make_event(content="before"))
    with locked(file, statement):
        started = time.monotonic()
        answer = client.post("/api/log/", json=make_event(content="refused"), headers=GATEWAY)
        assert time.monotonic() - started < 5
        assert_error(answer, 503, "locked")
        assert int(answer.headers["Retry-After"]) > 0
        assert_error(client.delete(f"/api/log/?target_timestamp={NOW}", headers=ROOT), 503, "locked")
        assert assert_ok(client.get("/api/log/", headers=ROOT))["total"] == 1
    post(client, make_event(content="after"))
    assert contents(assert_ok(client.get("/api/log/", headers=ROOT))["items"]) == ["after", "before"]


def test_a_short_lock_is_waited_for(client: FlaskClient, store: LogStore, file: Path) -> None:
    import threading

    post(client, make_event(content="before"))
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.5, lambda: other.execute("ROLLBACK"))
        release.start()
        post(client, make_event(content="after"))
        release.join()
    assert store.count_raw() == 2


def test_readers_locked_out_are_told_in_the_words_of_the_specification(
    store: LogStore, client_with: Any, file: Path
) -> None:
    store.close()
    client = client_with(WAITING_TIME="0.2")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert_failing(client)
        other.execute("ROLLBACK")
    for path, who, _ in READS:
        assert client.get(path, headers=who).status_code == 200

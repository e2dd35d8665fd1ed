"""`logservice backup`: a copy of the log beside whoever writes, that takes the place of a lost one."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import threading
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import make_url

from logservice.cli import logservice
from logservice.store.dialects import sqlite_backup
from logservice.store.store import LogStore
from tests.commands import app_in, assert_done, assert_error, invoke
from tests.conftest import store_of
from tests.documents import ROOT
from tests.postgresql_programs import NoPostgreSQL, programs
from tests.postgresql_server import Server
from tests.private_servers import skip_or_fail
from tests.rows import make_event, post
from tests.serving import open_store
from tests.store_rows import buckets, make_records, raw_rows, rebuilt

only_postgresql = pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True, scope="session")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The instance folder of a log with rows, of which some are in the write-ahead log alone."""
    folder = tmp_path / "instance"
    with closing(store_of(app_in(folder))) as store:
        store.record(make_records(300))
    return folder


def rows_in(folder: Path) -> list[dict[str, object]]:
    with closing(store_of(app_in(folder))) as store:
        return raw_rows(store)


def test_a_copy_takes_the_place_of_the_log(log: Path, tmp_path: Path) -> None:
    copy, before = tmp_path / "copy.db", rows_in(log)
    said = assert_done(invoke(log, "backup", str(copy)))
    assert said == f"Copied {copy.stat().st_size:,} bytes into {copy}: sound.\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    # No journal of it is left, nor a part.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "instance"]

    shutil.rmtree(log)
    log.mkdir()
    shutil.copy(copy, log / "log.db")
    assert "Sound: " in assert_done(invoke(log, "check", "--full"))
    assert rows_in(log) == before
    with closing(store_of(app_in(log))) as store:
        store.record(make_records(5, seed=1))
        assert len(raw_rows(store)) == len(before) + 5


def test_a_copy_is_of_one_moment_while_others_write(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of the copy waits for a commit: a copy that began anew each time would not come to an end."""
    monkeypatch.setattr(sqlite_backup, "_PAGES", 20)
    copy, steps = tmp_path / "copy", 0
    copy.touch()
    with closing(store_of(app_in(log))) as store, closing(store_of(app_in(log))) as writer:
        before = raw_rows(store)

        def write() -> None:
            nonlocal steps
            steps += 1
            assert steps < 500
            thread = threading.Thread(target=writer.record, args=(make_records(20, seed=steps),))
            thread.start()
            thread.join()

        store.back_up(copy, write)
        assert steps > 2
        assert len(raw_rows(store)) == len(before) + 20 * steps
    copied = tmp_path / "copied"
    copied.mkdir()
    copy.rename(copied / "log.db")
    assert rows_in(copied) == before
    with closing(store_of(app_in(copied))) as store:
        assert buckets(store) == rebuilt(store)


def test_an_older_schema_is_copied_as_it_is(log: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(log / "log.db", isolation_level=None)) as connection:
        connection.execute("UPDATE log_alembic_version SET version_num = '0005'")
    assert_done(invoke(log, "backup", str(tmp_path / "copy.db")))
    for path in (log / "log.db", tmp_path / "copy.db"):
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT version_num FROM log_alembic_version").fetchone() == ("0005",)


def test_no_file_is_replaced(log: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_bytes(b"of somebody else")
    result = invoke(log, "backup", str(tmp_path / "copy.db"))
    assert_error(result, "copy.db: is there already")
    assert "--force" not in result.stderr
    assert (tmp_path / "copy.db").read_bytes() == b"of somebody else"
    assert_error(invoke(log, "backup", str(log / "log.db")), "is there already")
    assert_error(invoke(log, "backup", str(tmp_path)), "no plain file")


def test_what_fails_leaves_no_file(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_error(invoke(log, "backup", str(tmp_path / "nowhere" / "copy.db")), "nowhere: No such file")
    assert_error(invoke(tmp_path / "empty", "backup", str(tmp_path / "copy.db")), "there is no log in")
    # A damaged page is copied as it is, and noticed.
    file = log / "log.db"
    with file.open("r+b") as written:
        written.seek(file.stat().st_size // 4096 // 2 * 4096)
        written.write(os.urandom(3 * 4096))
    assert_error(invoke(log, "backup", str(tmp_path / "copy.db")), "the copy is not sound")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "instance"]


def test_a_full_disk_is_said_to_be_that_of_the_copy(log: Path) -> None:
    with closing(store_of(app_in(log))) as store, pytest.raises(Exception, match="the copy failed") as caught:
        store.back_up(Path("/dev/full"), lambda: None)
    assert type(caught.value).__name__ == "Unavailable"


@only_postgresql
def test_postgresql_is_left_to_its_own_programs(app: Flask, tmp_path: Path) -> None:
    result = app.test_cli_runner().invoke(logservice, ["backup", str(tmp_path / "copy")])
    assert result.exit_code == 1
    assert "pg_dump --format=custom" in result.output
    assert not (tmp_path / "copy").exists()


@only_postgresql
def test_a_dump_of_postgresql_takes_the_place_of_the_log(
    client: FlaskClient, store: LogStore, postgresql: Server, db_url: str, tmp_path: Path
) -> None:
    """With the commands of the documents."""
    post(client, *(make_event(content=f"said {number}") for number in range(5)))
    before = raw_rows(store)
    page = (ROOT / "docs" / "deploying.md").read_text()
    [dump] = re.findall(r"^pg_dump (.*) --file=\S+ \S+$", page, re.MULTILINE)
    [restore] = re.findall(r"^pg_restore (.*) --dbname=\S+ \S+$", page, re.MULTILINE)
    file, other = str(tmp_path / "copy.dump"), f"restored_{uuid.uuid4().hex[:12]}"
    postgresql.create_database(other)
    subprocess.run([_program("pg_dump"), *dump.split(), f"--file={file}", _plain(db_url)], check=True)
    to = f"--dbname={_plain(postgresql.url(other))}"
    subprocess.run([_program("pg_restore"), *restore.split(), to, file], check=True)
    with closing(open_store(postgresql.url(other))) as restored:
        assert raw_rows(restored) == before
        restored.record(make_records(5))
        assert buckets(restored) == rebuilt(restored)
    postgresql.drop_database(other)


def _program(name: str) -> Path:
    path = programs() / name
    if not path.exists():
        skip_or_fail(NoPostgreSQL(f"there is no {name} in {path.parent}"))
    return path


def _plain(url: str) -> str:
    """Return a URL as PostgreSQL's own programs read it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

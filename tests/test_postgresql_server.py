"""The private PostgreSQL server answers, keeps its data while it lives, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text

from tests.postgresql_programs import NoPostgreSQL
from tests.postgresql_server import VARIABLE, Server, borrowed, private, required, running
from tests.private_servers import skip_or_fail

ROOT = Path(__file__).parent.parent
NOWHERE = "postgresql://nobody@/none?host=/nonexistent"

# Ends inside the block, after a child that shares its memory has ended there, too.
ENDS_BADLY = """
import os, sys
from tests.postgresql_server import private

block = private()
server = block.__enter__()
if os.fork() == 0:
    sys.exit()
os.wait()
server.connected().close()
print(server.postmaster.process_id, server.address.query["host"])
"""


@pytest.fixture
def database(postgresql: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an empty database."""
    name = request.node.name
    postgresql.create_database(name)
    yield name
    postgresql.drop_database(name)


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that may be stopped: nobody else uses it."""
    with required(private()) as server:
        yield server


def sockets_of(server: Server) -> Path:
    return Path(server.address.query["host"])


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_answers(postgresql: Server, database: str) -> None:
    with postgresql.connected(database) as connection:
        assert connection.execute("SELECT 1, current_database()").fetchone()[0] == 1


def test_its_url_serves_sqlalchemy_as_well(postgresql: Server, database: str) -> None:
    engine = create_engine(make_url(postgresql.url(database)).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW server_encoding")) == "UTF8"
    engine.dispose()


def test_two_databases_do_not_see_each_other(postgresql: Server, database: str) -> None:
    postgresql.create_database("other")
    with postgresql.connected("other") as connection:
        connection.execute("CREATE TABLE here (id int)")
    with postgresql.connected(database) as connection:
        assert connection.execute("SELECT to_regclass('here')").fetchone() == (None,)
    postgresql.drop_database("other")


def test_a_copy_has_what_its_template_has(postgresql: Server, database: str) -> None:
    with postgresql.connected(database) as connection:
        connection.execute("CREATE TABLE here AS SELECT 7 AS id")
    postgresql.create_database("copy", template=database)
    with postgresql.connected("copy") as connection:
        assert connection.execute("SELECT id FROM here").fetchone() == (7,)
    postgresql.drop_database("copy")


def test_a_database_may_have_a_locale_of_its_own(postgresql: Server) -> None:
    postgresql.create_database("plain", locale="C")
    with postgresql.connected("plain") as connection:
        assert connection.execute("SELECT lower('Ä')").fetchone() == ("Ä",)
    postgresql.drop_database("plain")


def test_dropping_ends_the_connections(postgresql: Server) -> None:
    postgresql.create_database("crowded")
    with postgresql.connected("crowded") as connection:
        postgresql.drop_database("crowded")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


@pytest.mark.parametrize("immediate", [False, True], ids=["fast", "immediate"])
def test_a_restart_keeps_what_was_committed(own_server: Server, immediate: bool) -> None:
    with own_server.connected() as connection:
        connection.execute(f"CREATE TABLE kept_{immediate} AS SELECT 7 AS id")
        own_server.restart(immediate=immediate)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with own_server.connected() as connection:
        assert connection.execute(f"SELECT id FROM kept_{immediate}").fetchone() == (7,)


def test_a_stopped_server_refuses_until_it_is_started(own_server: Server) -> None:
    own_server.stop()
    with pytest.raises(psycopg.OperationalError):
        own_server.connected()
    own_server.start()
    own_server.connected().close()


def test_nothing_is_left_after_the_block() -> None:
    with required(private(locale="C")) as server:
        process_id = server.postmaster.process_id
        assert is_running(process_id)
        assert sockets_of(server).exists()
        with server.connected() as connection:
            assert connection.execute("SELECT lower('Ä')").fetchone() == ("Ä",)
    assert not is_running(process_id)
    assert not sockets_of(server).exists()


@pytest.mark.usefixtures("own_server")
def test_nothing_is_left_when_the_process_ends_inside_the_block() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS_BADLY], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    process_id, sockets = done.stdout.split()
    assert not is_running(int(process_id))
    assert not Path(sockets).exists()


@pytest.mark.usefixtures("own_server")
def test_nothing_is_left_of_a_server_that_did_not_start(tmp_path: Path) -> None:
    with pytest.raises(NoPostgreSQL, match="klingon"), private(folder=tmp_path, locale="klingon"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_long_path_is_no_hindrance() -> None:
    with tempfile.TemporaryDirectory(suffix="-" * 100) as folder:
        Path(folder).chmod(0o711)
        with required(private(folder=Path(folder))) as server:
            server.connected().close()
            assert Path(folder) not in sockets_of(server).parents
        assert list(Path(folder).iterdir()) == []


def test_durable_data_are_written_as_in_production() -> None:
    with required(private(durable=True)) as server, server.connected() as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_root_runs_it_as_somebody_else(postgresql: Server) -> None:
    if postgresql.postmaster is not None:
        assert Path(f"/proc/{postgresql.postmaster.process_id}").stat().st_uid != 0
        assert sockets_of(postgresql).stat().st_mode & 0o777 == 0o700


def test_a_server_of_somebody_else_lends_databases(
    postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = postgresql.database_names()
    monkeypatch.setenv(VARIABLE, postgresql.address.set(database=None).render_as_string(hide_password=False))
    with running() as first, running() as second:
        for server in (first, second):
            server.create_database("log")
            server.create_database("copy", template="log")
        assert sorted(first.database_names()) == ["copy", "log"]
        assert first.url("log") != second.url("log")
        with pytest.raises(RuntimeError, match="not ours to stop"):
            first.restart()
    assert postgresql.database_names() == before


def test_a_lent_server_that_is_not_there_is_told() -> None:
    with pytest.raises(NoPostgreSQL, match=rf"{VARIABLE} names does not answer"), borrowed(NOWHERE):
        pass


def test_tests_without_a_server_fail_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no server"):
        skip_or_fail(NoPostgreSQL("no server"))


def test_tests_without_a_server_skip_loudly_elsewhere() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"{__file__}::{test_it_answers.__name__}"],
        cwd=ROOT,
        env={**os.environ, VARIABLE: NOWHERE, "CI": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told, result = done.stdout.splitlines()[-2:]
    assert told.startswith(f"PostgreSQL tests did NOT run: the server that {VARIABLE} names does not answer")
    assert told.endswith("(1 skipped)")
    assert "1 skipped" in result

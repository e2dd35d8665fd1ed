"""The private MariaDB server answers, lets nobody else in, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import make_url

from tests.mariadb_server import MariaDB, NoMariaDB, private
from tests.private_servers import required, skip_or_fail

ROOT = Path(__file__).parent.parent


def folder_of(server: MariaDB) -> Path:
    with server.connected() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@datadir")
        return Path(cursor.fetchone()[0])


def is_running(process_id: int) -> bool:
    return Path(f"/proc/{process_id}").exists()


def test_its_databases_take_every_character_and_go_away(mariadb: MariaDB) -> None:
    mariadb.create_database("here")
    with mariadb.connected("here") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE texts (content longtext)")
        cursor.execute("INSERT INTO texts VALUES (%s)", ["令牌 🔑"])
        cursor.execute("SELECT content FROM texts")
        assert cursor.fetchone() == ("令牌 🔑",)
    mariadb.drop_database("here")
    with pytest.raises(pymysql.OperationalError, match="Unknown database"):
        mariadb.connected("here")


def test_its_url_is_what_an_operator_would_write(mariadb: MariaDB) -> None:
    url = make_url(mariadb.url("gateway"))
    assert (url.drivername, url.host, url.database) == ("mysql", "127.0.0.1", "gateway")


@pytest.mark.parametrize("user", ["root", "", "logservice"])
def test_nobody_enters_without_the_password(mariadb: MariaDB, user: str) -> None:
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        pymysql.connect(host="127.0.0.1", port=mariadb.address.port, user=user, password="")


def test_a_restart_keeps_what_was_committed() -> None:
    with required(private()) as server:
        server.create_database("kept")
        for immediate in (False, True):
            server.process.stop(immediate=immediate)
            with pytest.raises(pymysql.OperationalError):
                server.connected()
            server.process.start()
            server.connected("kept").close()


def test_nothing_is_left_after_the_block() -> None:
    with required(private()) as server:
        process_id, folder = server.process.process_id, folder_of(server)
        assert is_running(process_id)
        assert folder.exists()
    assert not is_running(process_id)
    assert not folder.parent.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_root_runs_it_as_somebody_else(mariadb: MariaDB) -> None:
    assert Path(f"/proc/{mariadb.process.process_id}").stat().st_uid != 0
    assert folder_of(mariadb).parent.stat().st_mode & 0o777 == 0o700


def test_a_missing_server_is_told_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tests.mariadb_server.SYSTEM", str(tmp_path))
    with pytest.raises(NoMariaDB, match="apt install mariadb-server-core"), private():
        pass


def test_tests_without_a_server_fail_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no server"):
        skip_or_fail(NoMariaDB("no server"))


def test_tests_without_a_server_skip_loudly_elsewhere(tmp_path: Path) -> None:
    name = test_its_url_is_what_an_operator_would_write.__name__
    without = "import tests.mariadb_server as server; server.SYSTEM = ''; import pytest, sys"
    program = f"{without}; sys.exit(pytest.main(['-p', 'no:cacheprovider', sys.argv[1]]))"
    done = subprocess.run(
        [sys.executable, "-c", program, f"{__file__}::{name}"],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path), "CI": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said, result = done.stdout.splitlines()[-2:]
    assert said.startswith("MariaDB tests did NOT run: `mariadb-install-db` and `mariadbd` are neither")
    assert said.endswith("(1 skipped)")
    assert "1 skipped" in result

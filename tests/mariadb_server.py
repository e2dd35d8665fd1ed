"""A MariaDB server for the tests, which begins with a block and is gone after it.

    with private() as server:
        server.create_database("gateway")
        url = server.url("gateway")

It stands for MySQL as well: gateways run on either.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymysql
from sqlalchemy import URL

from tests.private_servers import (
    SOCKET_PATH,
    NoServer,
    ServerProcess,
    account,
    at_the_end,
    fitting_place,
    give_to_account,
    new_folder,
)
from tests.processes import free_port

USER = "logservice"
HOST = "127.0.0.1"
#: Where Debian keeps what is meant for administrators; the PATH of others often lacks it.
SYSTEM = "/usr/sbin"

# Tests lose the process, never the power: a commit is handed to the system, and not forced to the disk.
SETTINGS = {
    "bind-address": HOST,
    "skip-networking": "0",
    "skip-name-resolve": "1",
    "character-set-server": "utf8mb4",
    "collation-server": "utf8mb4_general_ci",
    "innodb-buffer-pool-size": "64M",
    "innodb-log-file-size": "32M",
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-doublewrite": "0",
    # Neither is to be had on every file system, memory among them.
    "innodb-flush-method": "fsync",
    "innodb-use-native-aio": "0",
    "max-connections": "100",
    # Who drops a database that a forgotten transaction holds gets an error, rather than waiting for a day.
    "lock-wait-timeout": "30",
}


class NoMariaDB(NoServer):
    """There is no MariaDB server to be had; the message says why, and how to get one."""

    engine = "MariaDB"


@dataclass(frozen=True)
class MariaDB:
    """A server that answers on a port of this machine."""

    address: URL
    process: ServerProcess

    def url(self, name: str) -> str:
        """Return where a database is, as an operator would write it."""
        return self.address.set(database=name).render_as_string(hide_password=False)

    def connected(self, name: str | None = None) -> pymysql.Connection[pymysql.cursors.Cursor]:
        """Return a connection to a database, else to none, that commits every statement."""
        return _connected(self.address, name)

    def create_database(self, name: str) -> None:
        """Create an empty database."""
        self._execute(f"CREATE DATABASE `{name}`")

    def drop_database(self, name: str) -> None:
        """Drop a database; who is connected to it stays connected."""
        self._execute(f"DROP DATABASE `{name}`")

    def _execute(self, statement: str) -> None:
        with self.connected() as connection, connection.cursor() as cursor:
            cursor.execute(statement)


@contextmanager
def private() -> Iterator[MariaDB]:
    """Run a server of our own on a new data folder, which is removed at the end.

    It listens on this machine alone, and knows one account, whose password is new each time.
    """
    installer, program = _programs()
    with at_the_end() as ending:
        home = new_folder(ending, fitting_place(durable=False), name="mariadb")
        fits = len(os.fsencode(home / "server.sock")) < SOCKET_PATH
        sockets = home if fits else new_folder(ending, Path("/tmp"), name="mariadb")
        address = URL.create("mysql", USER, secrets.token_hex(16), HOST, free_port())
        _initialise(installer, home)
        settings = SETTINGS | {
            "datadir": str(home / "data"),
            "socket": str(sockets / "server.sock"),
            "pid-file": str(home / "server.pid"),
            "tmpdir": str(home),
            "port": str(address.port),
            "init-file": str(_first_words(home, address)),
        }
        process = ServerProcess(
            [program, "--no-defaults", *(f"--{name}={value}" for name, value in settings.items())],
            home,
            lambda: _answers(address),
            requests=(signal.SIGTERM, signal.SIGKILL),
            failed=NoMariaDB,
        )
        ending.callback(process.stop)
        process.start()
        yield MariaDB(address, process)


def _programs() -> tuple[str, str]:
    """Return the paths of the two programs: the one that makes a data folder, and the server."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), SYSTEM])
    found = shutil.which("mariadb-install-db", path=path), shutil.which("mariadbd", path=path)
    if found[0] is None or found[1] is None:
        raise NoMariaDB(
            f"`mariadb-install-db` and `mariadbd` are neither on PATH nor in {SYSTEM}; "
            "`apt install mariadb-server-core mariadb-client-core` brings them, and starts nothing"
        )
    return found[0], found[1]


def _initialise(installer: str, home: Path) -> None:
    """Create the data folder; nobody may enter the server as its root over the network."""
    done = subprocess.run(
        [
            installer,
            "--no-defaults",
            f"--datadir={home / 'data'}",
            "--auth-root-authentication-method=socket",
            "--skip-test-db",
            "--skip-name-resolve",
        ],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        **account(),
    )
    if done.returncode != 0:
        raise NoMariaDB(f"the data folder could not be created: {done.stdout[-1000:]} {done.stderr[-1000:]}")


def _first_words(home: Path, address: URL) -> Path:
    """Write what the server does at every start: make our account, if it is not there yet."""
    path = home / "first.sql"
    path.touch(mode=0o600)
    path.write_text(
        f"CREATE USER IF NOT EXISTS '{USER}'@'{HOST}' IDENTIFIED BY '{address.password}';\n"
        f"GRANT ALL ON *.* TO '{USER}'@'{HOST}';\n"
    )
    give_to_account(path)
    return path


def _answers(address: URL) -> bool:
    try:
        _connected(address, None).close()
    except pymysql.OperationalError:
        return False
    return True


def _connected(address: URL, name: str | None) -> pymysql.Connection[pymysql.cursors.Cursor]:
    return pymysql.connect(
        host=address.host,
        port=address.port,
        user=address.username,
        password=str(address.password),
        database=name,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=10,
    )

"""A PostgreSQL server for the tests and the benchmarks, which begins with a block and is gone after it.

    with running() as server:
        server.create_database("log")
        engine = create_engine(server.url("log"))

Where LOGSERVICE_TEST_POSTGRES_URL names a server, that one lends a few databases of its own instead.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from tests.postgresql_programs import NoPostgreSQL, programs
from tests.private_servers import SOCKET_PATH, ServerProcess, account, at_the_end, fitting_place, new_folder

# Tests take this from here together with the server that they require.
from tests.private_servers import required as required

VARIABLE = "LOGSERVICE_TEST_POSTGRES_URL"
USER = "logservice"
PORT = "5432"

# Tests lose the process, never the power. Commits stay synchronous for that: an immediate stop would lose the
# last ones otherwise, and without fsync that costs nothing (0.1 ms for a commit either way).
FLEETING = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "100",
}
DURABLE = {"shared_buffers": "2GB", "max_wal_size": "8GB", "max_connections": "100"}


@dataclass(frozen=True)
class Server:
    """A server that answers: the address of its own database, and the one process that is ours to stop."""

    address: URL
    #: What keeps our databases apart from others on a server that is shared.
    prefix: str = ""
    postmaster: ServerProcess | None = None

    def url(self, name: str) -> str:
        """Return where a database is, in the form that SQLAlchemy and psycopg both read."""
        return self.address.set(database=self.prefix + name).render_as_string(hide_password=False)

    def connected(self, name: str | None = None) -> psycopg.Connection:
        """Return a connection to a database, else to the server's own, that commits every statement."""
        url = self.address.render_as_string(hide_password=False) if name is None else self.url(name)
        return psycopg.connect(url, autocommit=True)

    def create_database(self, name: str, *, template: str | None = None, locale: str | None = None) -> None:
        """Create an empty database, or a copy of `template`, whose sessions end."""
        source = "template0" if template is None else self.prefix + template
        words = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(self._named(name), sql.Identifier(source))
        if template is None:
            words += sql.SQL(" ENCODING 'UTF8'")
        if locale is not None:
            words += sql.SQL(" LOCALE {}").format(sql.Literal(locale))
        with self.connected() as connection:
            # 10 ms instead of 14; before 15 there is no other way.
            if connection.info.server_version >= 150000:
                words += sql.SQL(" STRATEGY FILE_COPY")
            end_sessions(connection, source)
            connection.execute(words)

    def drop_database(self, name: str) -> None:
        """Drop a database; its sessions end."""
        with self.connected() as connection:
            end_sessions(connection, self.prefix + name)
            connection.execute(sql.SQL("DROP DATABASE {}").format(self._named(name)))

    def database_names(self) -> list[str]:
        """Return the names of the databases, on a borrowed server of ours alone."""
        with self.connected() as connection:
            found = connection.execute(
                "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [self.prefix]
            )
            return [name.removeprefix(self.prefix) for (name,) in found]

    def start(self) -> None:
        """Start the server again on the same data."""
        self._own().start()

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server; `immediate` leaves it to the next start to recover, as after a crash."""
        self._own().stop(immediate=immediate)

    def kill(self) -> None:
        """Kill every process of the server."""
        self._own().kill()

    def is_running(self) -> bool:
        """Whether the server was started and not stopped since."""
        return self._own().process_id is not None

    def restart(self, *, immediate: bool = False) -> None:
        """Stop and start."""
        self.stop(immediate=immediate)
        self.start()

    def _own(self) -> ServerProcess:
        if self.postmaster is None:
            raise RuntimeError(f"the server that {VARIABLE} names is not ours to stop or start")
        return self.postmaster

    def _named(self, name: str) -> sql.Identifier:
        return sql.Identifier(self.prefix + name)


def running(*, durable: bool = False, folder: Path | None = None) -> AbstractContextManager[Server]:
    """Use the server that the environment names, else a private one."""
    url = os.environ.get(VARIABLE)
    return borrowed(url) if url else private(durable=durable, folder=folder)


@contextmanager
def private(
    *, durable: bool = False, folder: Path | None = None, locale: str | None = None
) -> Iterator[Server]:
    """Run a server of our own on a new data folder, which is removed at the end.

    It lies in `folder`, else in memory where there is enough, else among the temporary files; durable data,
    written as in production, never lie in memory. The locale is C.UTF-8 if the system has it.
    """
    found = programs()
    with at_the_end() as ending:
        home = new_folder(ending, folder or fitting_place(durable=durable), name="postgresql")
        fits = len(os.fsencode(home / f".s.PGSQL.{PORT}")) < SOCKET_PATH
        sockets = home if fits else new_folder(ending, Path("/tmp"), name="postgresql")
        address = URL.create(
            "postgresql", USER, database="postgres", query={"host": str(sockets), "port": PORT}
        )
        _initialise(found / "initdb", home, [locale] if locale else ["C.UTF-8", "C"])
        settings = (DURABLE if durable else FLEETING) | {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "port": PORT,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        postmaster = ServerProcess(
            [found / "postgres", "-D", home / "data", *options],
            home,
            lambda: _answers(address),
            requests=(signal.SIGINT, signal.SIGQUIT, signal.SIGKILL),
            failed=NoPostgreSQL,
        )
        ending.callback(postmaster.stop)
        postmaster.start()
        yield Server(address, postmaster=postmaster)


@contextmanager
def borrowed(url: str) -> Iterator[Server]:
    """Use the server at `url`, whose user may create databases; ours are dropped at the end."""
    address = make_url(url).set(drivername="postgresql")
    server = Server(
        address if address.database else address.set(database="postgres"),
        prefix=f"logservice_test_{uuid.uuid4().hex[:12]}_",
    )
    try:
        server.database_names()
    except psycopg.OperationalError as error:
        raise NoPostgreSQL(f"the server that {VARIABLE} names does not answer: {error}") from None
    with at_the_end() as ending:
        ending.callback(_drop_all, server)
        yield server


def end_sessions(connection: psycopg.Connection, database: str) -> None:
    """End every session on a database but this one; DROP DATABASE would wait for that in steps of 100 ms."""
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = %s AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + 10
    while connection.execute(query, [database]).fetchone() is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the sessions on {database} did not end within 10 seconds")
        time.sleep(0.001)


def _answers(address: URL) -> bool:
    try:
        psycopg.connect(address.render_as_string(hide_password=False), connect_timeout=10).close()
    except psycopg.OperationalError:
        return False
    return True


def _initialise(initdb: Path, home: Path, locales: list[str]) -> None:
    """Create the data folder in the first of the locales that the system has."""
    command = [initdb, "-D", home / "data", "-U", USER, "--encoding=UTF8", "--auth=trust", "--no-sync"]
    for locale in locales:
        done = subprocess.run(
            [*command, f"--locale={locale}"],
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
            **account(),
        )
        if done.returncode == 0:
            return
    raise NoPostgreSQL(f"the data folder could not be created: {done.stderr.strip()}")


def _drop_all(server: Server) -> None:
    for name in server.database_names():
        server.drop_database(name)

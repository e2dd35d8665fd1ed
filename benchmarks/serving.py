"""The service as it really runs: gunicorn with the packaged settings, on a free port of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from logservice.cli.serving import gunicorn_command
from logservice.store import accounts
from tests.processes import free_port

from .calling import Caller, Refused
from .pairs import Pair
from .processes import children

START_SECONDS = 60
STOP_SECONDS = 60

#: Measures what is here against another checkout, which serves the same log.
beside_option = click.option(
    "--beside",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout, as that of the release before.",
)


def checkouts(beside: Path | None) -> dict[str, Path | None]:
    """Return the checkouts to serve from, None being this one, each with its name."""
    return {"here": None} if beside is None else {"here": None, "beside": beside}


@dataclass(frozen=True, slots=True)
class Logins:
    """The access tokens of an admin, of a producer, and of somebody whose rows are in the log."""

    admin: str
    writer: str
    user: str


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: where it listens, its master process, and who may call it."""

    port: int
    process: int
    logins: Logins

    def call(self, who: str = "admin") -> Caller:
        """Return a connection of the admin, the writer or the user."""
        return Caller(self.port, getattr(self.logins, who))

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        return children(self.process)

    def total(self) -> int:
        """Return how many rows the service says there are."""
        with self.call() as caller:
            found: int = caller.data("/api/log/?page_size=1")["total"]
            return found


def add_logins(pair: Pair, user_id: int, username: str) -> Logins:
    """Give logins to three people; the user is one whom the rows know."""
    logins = Logins(accounts.new_secret(), accounts.new_secret(), accounts.new_secret())
    with closing(pair.open_store()) as store:
        store.write(lambda to: accounts.add_user(to, "bench-admin", role="admin", secret=logins.admin))
        store.write(lambda to: accounts.add_user(to, "bench-writer", role="writer", secret=logins.writer))
        store.write(lambda to: accounts.add_user(to, username, user_id=user_id, secret=logins.user))
    return logins


@contextmanager
def serving(
    pair: Pair,
    logins: Logins,
    *,
    log: Path,
    workers: int | None = None,
    threads: int | None = None,
    cpu_affinity: bool = True,
    tree: Path | None = None,
) -> Iterator[Service]:
    """Serve our database of a pair until the block ends; workers and threads are as many as by default.

    What gunicorn prints is appended to `log`. It serves the logservice that it finds in the folder where it
    is started: this one, or that of a `tree`.
    """
    port = free_port()
    outside = {name: value for name, value in os.environ.items() if not name.startswith("LOGSERVICE_")}
    ours = {
        "LOGSERVICE_INSTANCE_PATH": str(pair.folder),
        "LOGSERVICE_DATABASE_URL": pair.url,
        "LOGSERVICE_CPU_AFFINITY": str(int(cpu_affinity)),
    }
    with log.open("ab") as output:
        # A session of its own: Ctrl-C is for us, and we stop the service in order.
        process = subprocess.Popen(
            gunicorn_command(f"127.0.0.1:{port}", workers=workers, threads=threads),
            env={**outside, **ours},
            cwd=tree,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        service = Service(port, process.pid, logins)
        _wait_until_ready(service, process)
        yield service
    finally:
        _stop(process)


def _wait_until_ready(service: Service, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with service.call() as caller:
                caller.raw("/readyz")
        except (OSError, Refused):
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the service did not start; what it said is in the log beside the results")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=STOP_SECONDS)

"""A service, and the server of its database, that are killed in every way and started again."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from logservice.store.dialects.postgresql_sessions import IDLE_SECONDS
from tests.postgresql_programs import NoPostgreSQL
from tests.postgresql_server import Server
from tests.processes import children, free_port, has_ended
from tests.reliability.ledger import Ledger
from tests.serving import Service, start, wait_until_ready

WORKERS = 2
#: How long the service may take to come back, on a machine that is busy with other things.
PATIENCE = 120


@dataclass
class Victim:
    """A service of two workers on a database that has its tables, and the server of that if it dies too."""

    folder: Path
    url: str
    ledger: Ledger
    server: Server | None = None
    port: int = field(default_factory=free_port)
    service: Service = field(init=False)

    def __post_init__(self) -> None:
        self._start()

    def _start(self) -> None:
        environ = {"LOGSERVICE_WORKERS": str(WORKERS)}
        self.service = start(self.folder, self.port, environ, self.url, output=self.folder / "printed")

    def ways(self) -> list[str]:
        """Return the ways to die."""
        if self.server is None:
            return ["worker", "asked to stop", "master", "workers", "everything"]
        of_service = ["worker", "workers", "everything", "asked to stop"]
        return ["server", "master", "server killed", "session", "all", *of_service]

    def die(self, way: str, draw: random.Random) -> None:
        """Die in a way, and come back."""
        asked = way == "asked to stop"
        # Sessions of a server that died are found out until they were idle for so long.
        after = IDLE_SECONDS + 1.0 if way in _OF_SERVER else 1.0
        with self.ledger.outage(announced=asked, after=after):
            workers = self.workers()
            _WAYS[way](self, draw)
            self._come_back(workers)

    def workers(self) -> list[int]:
        return children(self.service.process.pid)

    def _come_back(self, before: list[int]) -> None:
        deadline = time.monotonic() + PATIENCE
        if self.server is not None and not self.server.is_running():
            self._start_server(deadline)
        while time.monotonic() < deadline:
            if self.service.process.poll() is not None:
                # Also where workers that lost their master keep the port for so long that a new one gives up.
                self._start()
            with suppress(OSError, AssertionError, TimeoutError):
                wait_until_ready(self.service)
                orphans = [
                    worker for worker in before if worker not in self.workers() and not has_ended(worker)
                ]
                if len(self.workers()) == WORKERS and not orphans:
                    return
            time.sleep(0.05)
        raise TimeoutError(f"the service did not come back: {self.service.printed()[-3000:]}")

    def _start_server(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            # Until the last process of the one before is gone, it refuses.
            with suppress(NoPostgreSQL):
                self.server.start()
                return
            time.sleep(0.1)

    def end(self) -> None:
        """Stop the service, if it runs."""
        if self.service.process.poll() is None:
            self.stop()

    def stop(self) -> None:
        """Ask the service to stop, and see that it does."""
        self.service.process.send_signal(signal.SIGTERM)
        assert self.service.process.wait(timeout=60) == 0


def _kill(*processes: int) -> None:
    for process in processes:
        # One that is gone already is as dead as it should be.
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _worker(victim: Victim, draw: random.Random) -> None:
    _kill(draw.choice(victim.workers()))


def _workers(victim: Victim, _draw: random.Random) -> None:
    _kill(*victim.workers())


def _master(victim: Victim, _draw: random.Random) -> None:
    """The workers finish by themselves, beside a new master that waits for their port."""
    victim.service.process.kill()
    victim.service.process.wait(timeout=30)


def _everything(victim: Victim, draw: random.Random) -> None:
    workers = victim.workers()
    _master(victim, draw)
    _kill(*workers)


def _asked(victim: Victim, _draw: random.Random) -> None:
    victim.stop()


def _server(victim: Victim, _draw: random.Random) -> None:
    victim.server.stop(immediate=True)


def _server_killed(victim: Victim, _draw: random.Random) -> None:
    victim.server.kill()


def _session(victim: Victim, draw: random.Random) -> None:
    """The server ends all other sessions, and recovers by itself."""
    with victim.server.connected() as connection:
        others = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
        found = connection.execute(f"SELECT pid FROM pg_stat_activity WHERE {others}").fetchall()
        _kill(*draw.choice(found))
        # Until it has noticed that, it answers as if nothing had happened.
        with suppress(psycopg.OperationalError):
            connection.execute("SELECT pg_sleep(5)")


def _all(victim: Victim, draw: random.Random) -> None:
    _everything(victim, draw)
    _server_killed(victim, draw)


_WAYS: dict[str, Callable[[Victim, random.Random], None]] = {
    "worker": _worker,
    "workers": _workers,
    "master": _master,
    "everything": _everything,
    "asked to stop": _asked,
    "server": _server,
    "server killed": _server_killed,
    "session": _session,
    "all": _all,
}
_OF_SERVER = {"server", "server killed", "session", "all"}

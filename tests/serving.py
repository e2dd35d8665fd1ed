"""A real service in a process of its own, under gunicorn, on a free port of this machine."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from logservice.store import accounts, dialects
from logservice.store.store import LogStore
from tests.leaks import assert_nothing_leaked
from tests.processes import free_port

TOKENS = {"root": "root-access-token-1", "gateway": "gateway-access-token-1", "alice": "alice-access-token-1"}
#: How long the tests marked `load` go on.
LOAD_SECONDS = float(os.environ.get("LOGSERVICE_TEST_LOAD_SECONDS", "10"))
#: How gunicorn is told of the service.
APP = "logservice.app:create_app()"
ROLES = {"root": "admin", "gateway": "writer", "alice": "user"}


@dataclass(frozen=True)
class Service:
    """A running service: its port, its instance folder, its master process, and the file it prints into."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def printed(self) -> str:
        """Return what the service has printed so far: its access log, its error log."""
        return self.output.read_text()

    def open(self) -> http.client.HTTPConnection:
        """Return a connection that may be used for many requests."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def get(self, path: str, *, user: str = "root") -> Any:
        """Return the data of a successful GET."""
        connection = self.open()
        try:
            status, answer = send(connection, "GET", path, user=user)
        finally:
            connection.close()
        assert status == 200, answer
        assert answer["success"], answer
        return answer["data"]


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    *,
    user: str = "root",
    body: Any = None,
    key: str | None = None,
) -> tuple[int, Any]:
    """Send one request with a user's access token, and an Idempotency-Key; return (status, answer)."""
    headers = {"Authorization": f"Bearer {TOKENS[user]}"}
    sent = None if body is None else json.dumps(body)
    if sent is not None:
        headers["Content-Type"] = "application/json"
    if key is not None:
        headers["Idempotency-Key"] = key
    connection.request(method, path, sent, headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


@contextmanager
def serving(
    folder: Path,
    *,
    workers: int = 2,
    environ: Mapping[str, str] | None = None,
    url: str | None = None,
    app: str = APP,
    files: int | None = None,
) -> Iterator[Service]:
    """Serve a new database until the block ends; then stop and check that it stopped cleanly.

    The database is the empty one at `url`, else a file in `folder`. `app` makes the application; no process
    may have more than `files` open.
    """
    url = url or _file_url(folder)
    create(url)
    given = {"LOGSERVICE_WORKERS": str(workers), **(environ or {})}
    with _running(folder, free_port(), given, url, app=app, files=files) as found:
        yield found


@contextmanager
def serving_again(service: Service) -> Iterator[Service]:
    """Serve once more what `serving` served from a file and stopped, at the same address."""
    with _running(service.folder, service.port, {}, _file_url(service.folder)) as found:
        yield found


def _file_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'logservice.db'}"


@contextmanager
def _running(
    folder: Path,
    port: int,
    environ: Mapping[str, str],
    url: str,
    *,
    app: str = APP,
    files: int | None = None,
) -> Iterator[Service]:
    with tempfile.NamedTemporaryFile(prefix="logservice-printed-") as output:
        service = start(folder, port, environ, url, output=Path(output.name), app=app, files=files)
        try:
            wait_until_ready(service)
            yield service
        finally:
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(timeout=40) == 0
        assert_nothing_leaked(folder, service.output.read_bytes())


def start(
    folder: Path,
    port: int,
    environ: Mapping[str, str],
    url: str,
    *,
    output: Path,
    app: str = APP,
    files: int | None = None,
) -> Service:
    """Start a service on a database that has its tables; whoever does so stops it as well."""
    command = [sys.executable, "-m", "gunicorn", "-c", "python:logservice.gunicorn_conf"]
    with output.open("ab") as printed:
        process = subprocess.Popen(
            [*command, app],
            env={
                **os.environ,
                "LOGSERVICE_INSTANCE_PATH": str(folder),
                "LOGSERVICE_DATABASE_URL": url,
                "LOGSERVICE_BIND": f"127.0.0.1:{port}",
                **environ,
            },
            stdout=printed,
            stderr=subprocess.STDOUT,
            preexec_fn=None if files is None else partial(_allow, files),
        )
    return Service(port, folder, process, output)


def _allow(files: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def open_store(url: str) -> LogStore:
    """Open the store of a service beside it; the caller closes it."""
    return LogStore(create_engine(**dialects.engine_settings(url, "")))


def create(url: str) -> None:
    """Create the tables and the logins, as `init-db` and `user add` would."""
    with closing(open_store(url)) as store:
        store.create()
        for name, secret in TOKENS.items():
            store.write(
                lambda connection, name=name, secret=secret: accounts.add_user(
                    connection, name, role=ROLES[name], secret=secret
                )
            )


def wait_until_ready(service: Service) -> None:
    """Wait until a service that was started can be used."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            service.get("/readyz")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the service did not start within 30 seconds")

"""A PostgreSQL server of our own for as long as a benchmark takes. The one place that a server comes from."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgresql_programs import programs
from tests.private_servers import account
from tests.processes import free_port

# Durable, as a gateway's own must be; room for most of 5 million rows, and no planner setting of our own.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "max_connections": "120",
    "fsync": "on",
    "synchronous_commit": "on",
}
START_SECONDS = 60


@contextmanager
def running(folder: Path) -> Iterator[Callable[[str], str]]:
    """Run a server on the cluster in `folder`, made if need be; give what names the URL of a database."""
    folder = folder.absolute()
    if not (folder / "PG_VERSION").exists():
        _create(folder)
    port = free_port()
    settings = {**SETTINGS, "port": str(port), "unix_socket_directories": ""}
    options = [f"--{name}={value}" for name, value in settings.items()]
    with folder.with_name("postgresql.log").open("ab") as output:
        process = subprocess.Popen(
            [str(programs() / "postgres"), "-D", str(folder), *options],
            stdout=output,
            stderr=output,
            start_new_session=True,
            **account(),
        )
    try:
        _wait(process, port)
        yield lambda database: f"postgresql://postgres@127.0.0.1:{port}/{database}"
    finally:
        _stop(process)


def _create(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    user = account()
    if user:
        shutil.chown(folder, user["user"], user["group"])
    command = [str(programs() / "initdb"), "-D", str(folder), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run([*command, "--locale=C.UTF-8"], check=True, stdout=subprocess.DEVNULL, cwd="/", **user)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    ask = [str(programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ask, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError("the PostgreSQL server did not start; see postgresql.log")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=60)

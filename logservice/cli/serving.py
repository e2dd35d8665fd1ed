"""`logservice serve`: the standalone service under gunicorn, and the first admin."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import Connection

from ..errors import InvalidValue
from ..store import accounts
from ..store.store import LogStore
from ..web.state import current_state
from .output import echo_secret

#: The module that holds `create_app`, by which the standalone application is told from a host.
STANDALONE = "logservice.app"
DEFAULT_BIND = "127.0.0.1:8000"
FIRST_ADMIN = "admin"

_ADDRESS = re.compile(r"(?:tcp://)?(?P<host>\[[^\]]*\]|[^:/\[\]]*)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
#: Addresses that stand for all of a machine's, and one of them to call.
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # nosec B104 # only compared, never bound

bind_option = click.option(
    "--bind",
    envvar="LOGSERVICE_BIND",
    default=DEFAULT_BIND,
    show_default=True,
    metavar="ADDRESS",
    help="HOST:PORT or unix:PATH.",
)


@click.command()
@bind_option
@click.option(
    "--workers", type=click.IntRange(1), envvar="LOGSERVICE_WORKERS", help="Processes; 2 by default."
)
@click.option(
    "--threads", type=click.IntRange(1), envvar="LOGSERVICE_THREADS", help="Threads in each; 8 by default."
)
@with_appcontext
def serve(bind: str, workers: int | None, threads: int | None) -> None:
    """Serve the log over HTTP with gunicorn.

    Creates the database, and while nobody has a login an admin, whose access token is printed once.
    """
    if current_app.import_name != STANDALONE:
        raise InvalidValue("serve runs the standalone service; serve your own application as you always do")
    curl = curl_for(bind)
    with closing(current_state().store) as store:
        secret = prepare(store)
    if secret is not None:
        click.echo(f'This is the first start, so there is an admin now, called "{FIRST_ADMIN}".')
        echo_secret("access token", secret)
        click.echo(f"Once the service runs, this answers:\n\n    {curl('/api/log/', secret)}\n")
    run_gunicorn(bind, workers=workers, threads=threads)


def prepare(store: LogStore) -> str | None:
    """Create the database, and an admin while nobody has a login; return the admin's access token, if so."""
    store.create()
    secret = accounts.new_secret()

    def first_admin(connection: Connection) -> str | None:
        if accounts.has_login(connection):
            return None
        accounts.add_user(connection, FIRST_ADMIN, role="admin", secret=secret)
        return secret

    return store.write(first_admin, claims=[accounts.CLAIM])


def run_gunicorn(
    bind: str,
    *,
    workers: int | None = None,
    threads: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> NoReturn:
    """Become gunicorn, serving the standalone application from this one's instance folder."""
    folder = {"LOGSERVICE_INSTANCE_PATH": current_app.instance_path}
    command = gunicorn_command(bind, workers=workers, threads=threads)
    os.execve(sys.executable, command, {**os.environ, **folder, **(environment or {})})  # nosec B606 # no shell wanted


def gunicorn_command(bind: str, *, workers: int | None, threads: int | None) -> list[str]:
    """Return the arguments that start gunicorn; what is None is left to the packaged settings."""
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        "python:logservice.gunicorn_conf",
        "--bind",
        bind,
    ]
    for name, number in (("--workers", workers), ("--threads", threads)):
        if number is not None:
            command += [name, str(number)]
    return [*command, f"{STANDALONE}:create_app()"]


class Curl:
    """Writes commands, ready to paste, that ask the service at one address."""

    def __init__(self, where: str, *, socket: str | None = None) -> None:
        self.where = where
        self._socket = [] if socket is None else ["--unix-socket", socket]

    def __call__(self, path: str, access_token: str | None = None) -> str:
        """Return the command for a path, with an access token if it needs one."""
        header = [] if access_token is None else ["-H", f"Authorization: Bearer {access_token}"]
        return shlex.join(["curl", *self._socket, *header, f"{self.where}{path}"])


def curl_for(bind: str) -> Curl:
    """Return what asks a service at an address. Raises InvalidValue when gunicorn could not bind to it."""
    if bind.startswith("unix:"):
        return Curl("http://localhost", socket=str(Path(re.sub("^unix:(//)?", "", bind)).absolute()))
    found = _ADDRESS.fullmatch(bind)
    if found is None or not 0 < int(found["port"] or 8000) < 2**16:
        raise InvalidValue(f"--bind: {bind!r} is neither HOST:PORT nor unix:PATH")
    return Curl(f"http://{_EVERYWHERE.get(found['host'], found['host'])}:{found['port'] or 8000}")

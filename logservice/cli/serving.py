"""`logservice serve`: the standalone service under gunicorn, and the first admin."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import closing
from typing import NoReturn

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import Connection

from ..config import Serving
from ..errors import InvalidValue
from ..store import accounts, opening
from ..store.store import LogStore
from ..web.state import current_state
from . import addresses
from .output import echo_secret

#: The module that holds `create_app`, by which the standalone application is told from a host.
STANDALONE = "logservice.app"
FIRST_ADMIN = "admin"


@click.command()
@addresses.bind_option
@click.option(
    "--workers",
    type=click.IntRange(1),
    envvar="LOGSERVICE_WORKERS",
    show_envvar=True,
    help=f"Processes; {Serving.workers} by default.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    envvar="LOGSERVICE_THREADS",
    show_envvar=True,
    help=f"Threads in each; {Serving.threads} by default.",
)
@with_appcontext
def serve(bind: str, workers: int | None, threads: int | None) -> None:
    """Serve the log over HTTP with gunicorn.

    Creates the database, and while nobody has a login an admin, whose access token is printed once.
    """
    if current_app.import_name != STANDALONE:
        raise InvalidValue("serve runs the standalone service; serve your own application as you always do")
    # Whatever would keep gunicorn from starting is told before the access token, which is shown only once.
    given = Serving.load()
    if opening.is_for_one_process(current_state().settings.database_url) and (workers or given.workers) > 1:
        raise InvalidValue(
            "LOGSERVICE_WORKERS: has to be 1, for the engine of clickhouse+chdb lets in one process at a time"
        )
    addresses.refuse_taken(bind)
    curl = addresses.curl_for(bind)
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
    """Become gunicorn, serving the standalone application from this one's instance folder.

    The log is there by now. A worker that finds none, because its place has gone meanwhile, begins no other,
    in which nobody would be known.
    """
    settled = {"LOGSERVICE_INSTANCE_PATH": current_app.instance_path, "LOGSERVICE_AUTO_CREATE": "0"}
    command = gunicorn_command(bind, workers=workers, threads=threads)
    os.execve(sys.executable, command, {**os.environ, **settled, **(environment or {})})  # nosec B606 # no shell wanted


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

"""`logservice demo`: a database of made-up rows, to look around in."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import Connection, create_engine

from ..config import Serving
from ..counts import counted
from ..demo import DEMO_USERS, generate
from ..store import accounts, dialects, records
from ..store.store import LogStore
from . import addresses
from .addresses import Curl
from .output import echo_table, progress
from .serving import FIRST_ADMIN, run_gunicorn

DATABASE = "demo.db"
DATABASE_URL = f"sqlite:///{DATABASE}"
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody who can look around in the demo, with the key of one of their tokens."""

    username: str
    role: str
    access_token: str
    key: str | None = None


@click.command()
@click.option(
    "--rows", type=click.IntRange(1, 10_000_000), default=50_000, show_default=True, help="How many."
)
@click.option("--serve", is_flag=True, help="Serve it afterwards, as `serve` does.")
@addresses.bind_option
@with_appcontext
def demo(rows: int, serve: bool, bind: str) -> None:
    """Make a database of realistic rows, with an admin and two users.

    It is demo.db in the instance folder, made anew each time; the service's own database is not touched.
    """
    if serve:
        Serving.load()
        addresses.refuse_taken(bind)
    curl = addresses.curl_for(bind)
    with closing(new_store(current_app.instance_path)) as store:
        store.create()
        logins = store.write(add_logins)
        fill(store, rows)
    _show(rows, logins, curl)
    if serve:
        run_gunicorn(bind, environment={"LOGSERVICE_DATABASE_URL": DATABASE_URL})
    click.echo(f"Serve it:  LOGSERVICE_DATABASE_URL={DATABASE_URL} logservice serve")


def new_store(folder: str) -> LogStore:
    """Return a store on the demo's database, an earlier one removed."""
    for ending in ("", "-wal", "-shm"):
        Path(folder, DATABASE + ending).unlink(missing_ok=True)
    settings = dialects.engine_settings(DATABASE_URL, folder)
    return LogStore(create_engine(**settings))


def add_logins(connection: Connection) -> list[Login]:
    """Give the admin and the demo's users a login, the users also a key for the rows of one token."""
    logins = [Login(FIRST_ADMIN, "admin", accounts.new_secret())]
    accounts.add_user(connection, FIRST_ADMIN, role="admin", secret=logins[0].access_token)
    for known in DEMO_USERS:
        login = Login(known.username, "user", accounts.new_secret(), f"sk-{accounts.new_secret()}")
        accounts.add_user(connection, known.username, user_id=known.user_id, secret=login.access_token)
        accounts.add_token(
            connection, known.token_name, user_id=known.user_id, token_id=known.token_id, key=str(login.key)
        )
        logins.append(login)
    return logins


def fill(store: LogStore, rows: int) -> None:
    """Store made-up rows up to now."""
    now = store.clock()
    events = generate(rows, end=int(now))
    with progress("Making up rows", rows) as advance:
        while batch := [records.from_mapping(event, now=now) for event in islice(events, BATCH)]:
            store.record(batch)
            advance(len(batch), len(batch))


def _show(rows: int, logins: Iterable[Login], curl: Curl) -> None:
    people = list(logins)
    click.echo(f"{DATABASE} holds {counted(rows, 'row')} of the last 30 days. Who can look at them:\n")
    headings = ("NAME", "ROLE", "ACCESS TOKEN", "KEY OF ONE TOKEN")
    echo_table(headings, [(who.username, who.role, who.access_token, who.key or "") for who in people])
    admin, somebody = people[0], people[1]
    click.echo(f"\nOnce it is served, the page is at {curl.where}/ and these answer:\n")
    click.echo(f"    {curl('/api/log/', admin.access_token)}")
    click.echo(f"    {curl('/api/log/self', somebody.access_token)}")
    click.echo(f"    {curl(f'/api/log/token?key={somebody.key}')}\n")

"""One connection for each request, kept on `g`."""

from __future__ import annotations

import sqlite3
from importlib.resources import files

import click
from flask import Flask, current_app, g
from flask.cli import with_appcontext


def connection() -> sqlite3.Connection:
    """Return the connection of this request, opened when it is first asked for."""
    if "connection" not in g:
        g.connection = sqlite3.connect(current_app.config["DATABASE"])
        g.connection.row_factory = sqlite3.Row
    found: sqlite3.Connection = g.connection
    return found


def close(_error: BaseException | None = None) -> None:
    """Close it when the request is over."""
    opened = g.pop("connection", None)
    if opened is not None:
        opened.close()


@click.command("init-db")
@with_appcontext
def init_db() -> None:
    """Begin with empty tables."""
    connection().executescript((files(__package__) / "schema.sql").read_text())
    click.echo("The tables are there, and empty.")


def init_app(app: Flask) -> None:
    """Let an application close connections, and give it the command."""
    app.teardown_appcontext(close)
    app.cli.add_command(init_db)

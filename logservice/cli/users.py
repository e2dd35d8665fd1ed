"""`logservice user`: who may log in."""

from __future__ import annotations

import dataclasses

import click
from sqlalchemy import Connection

from ..errors import InvalidValue, NotFound
from ..store import accounts
from ..store.accounts import User
from ..store.store import LogStore
from ..store.tables import users
from .group import show_help, with_new_store, with_store
from .notices import tell_of_namesakes, telling_of_the_last_admin
from .output import echo_json, echo_secret, echo_table, json_option, moment, printable


@click.group(invoke_without_command=True)
@click.pass_context
def user(context: click.Context) -> None:
    """Users and their access tokens."""
    show_help(context)


@user.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(accounts.ROLES),
    default="user",
    show_default=True,
    help="Sees own rows, sees all, or only sends events.",
)
@click.option("--id", "user_id", type=int, metavar="N", help="The id the gateway knows the user by.")
@click.option("--access-token", "given", metavar="SECRET", help="At least 16 characters; made up otherwise.")
@json_option
@with_new_store
def add(store: LogStore, name: str, role: str, user_id: int | None, given: str | None, as_json: bool) -> None:
    """Give somebody a login. Somebody known from events keeps the id and the rows."""
    secret = accounts.new_secret() if given is None else accounts.checked_secret("access token", given)

    def work(connection: Connection) -> User:
        _refuse_mistyped(connection, name)
        return accounts.add_user(connection, name, role=role, user_id=user_id, secret=secret)

    added = store.write(work, claims=[accounts.CLAIM])
    _show(added, "was added", new_secret=secret if given is None else None, as_json=as_json)
    tell_of_namesakes(store, added)


@user.command("list")
@json_option
@with_store
def list_users(store: LogStore, as_json: bool) -> None:
    """Show everybody who is known, with or without a login."""
    with store.reading() as connection:
        known = accounts.list_users(connection)
    if as_json:
        echo_json([dataclasses.asdict(entry) for entry in known])
        return
    echo_table(("ID", "NAME", "ROLE", "LOGIN", "SINCE"), [_row(entry) for entry in known])


@user.command(short_help="Give NAME (or id) a new access token.")
@click.argument("name")
@json_option
@with_store
def rotate(store: LogStore, name: str, as_json: bool) -> None:
    """Give NAME (or id) a new access token, which ends the old one and enables a disabled login."""
    secret = accounts.new_secret()
    rotated = store.write(lambda connection: _rotate(connection, name, secret))
    _show(rotated, "has a new access token", new_secret=secret, as_json=as_json)


@user.command()
@click.argument("name")
@with_store
def disable(store: LogStore, name: str) -> None:
    """Lock NAME (or id) and all their API keys out; rows stay."""
    with telling_of_the_last_admin(store):
        disabled = store.write(lambda connection: _disable(connection, name))
    click.echo(f"User {printable(disabled.username)} (id {disabled.id}) is disabled.")


def _refuse_mistyped(connection: Connection, name: str) -> None:
    """Refuse blanks around a new name, which nobody sees; names that came with events are as they are."""
    if name.strip() in ("", name) or any(known.username == name for known in accounts.list_users(connection)):
        return
    raise InvalidValue(
        f"NAME: {name!r} has blanks at its ends; it would be another user than {name.strip()!r}"
    )


def _rotate(connection: Connection, name: str, secret: str) -> User:
    found = accounts.find_user(connection, name)
    if not found.has_login:
        raise NotFound(f"user {name!r} has no login; `user add` gives one")
    accounts.rotate_user(connection, found.id, secret)
    return dataclasses.replace(found, disabled=False)


def _disable(connection: Connection, name: str) -> User:
    found = accounts.find_user(connection, name)
    accounts.disable(connection, users, found.id)
    return found


def _show(entry: User, what: str, *, new_secret: str | None, as_json: bool) -> None:
    """Print a user and the secret that was made up; one that was given is known already."""
    if as_json:
        echo_json({**dataclasses.asdict(entry), "access_token": new_secret})
        return
    click.echo(f"User {printable(entry.username)} (id {entry.id}, role {entry.role}) {what}.")
    if new_secret is not None:
        echo_secret("access token", new_secret)


def _row(entry: User) -> tuple[object, ...]:
    login = "disabled" if entry.disabled else "yes" if entry.has_login else "no"
    return entry.id, entry.username, entry.role, login, moment(entry.created_at)

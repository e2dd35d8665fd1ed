"""`logservice token`: the API keys whose rows are told apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import click
from sqlalchemy import Connection

from ..store import accounts
from ..store.accounts import Token
from ..store.store import LogStore
from ..store.tables import tokens
from .group import show_help, with_store
from .notices import tell_of_namesakes
from .output import echo_json, echo_secret, echo_table, json_option, moment, printable


@click.group(invoke_without_command=True)
@click.pass_context
def token(context: click.Context) -> None:
    """API tokens and their keys."""
    show_help(context)


@token.command()
@click.argument("name")
@click.option("--user", "owner", required=True, help="Name or id of the user it belongs to.")
@click.option("--id", "token_id", type=int, metavar="N", help="The id the gateway knows the token by.")
@click.option("--key", "given", metavar="SECRET", help="At least 16 characters; made up otherwise.")
@json_option
@with_store
def add(
    store: LogStore, name: str, owner: str, token_id: int | None, given: str | None, as_json: bool
) -> None:
    """Register an API key under NAME. The `sk-` before a key may be left out wherever it is used."""
    key = f"sk-{accounts.new_secret()}" if given is None else accounts.checked_secret("key", given)

    def work(connection: Connection) -> Token:
        user_id = accounts.find_user(connection, owner).id
        return accounts.add_token(connection, name, user_id=user_id, token_id=token_id, key=key)

    added = store.write(work, claims=[accounts.CLAIM])
    _show(added, new_key=key if given is None else None, as_json=as_json)
    tell_of_namesakes(store, added)


@token.command("list")
@json_option
@with_store
def list_tokens(store: LogStore, as_json: bool) -> None:
    """Show every known token; the keys themselves are not kept."""
    with store.reading() as connection:
        known = accounts.list_tokens(connection)
        owners = {user.id: user.username for user in accounts.list_users(connection)}
    if as_json:
        echo_json(
            [{**dataclasses.asdict(entry), "username": owners.get(entry.user_id, "")} for entry in known]
        )
        return
    echo_table(("ID", "NAME", "USER", "KEY", "SINCE"), [_row(entry, owners) for entry in known])


@token.command(short_help="Stop the key of NAME (or id); the rows stay.")
@click.argument("name")
@with_store
def disable(store: LogStore, name: str) -> None:
    """Stop the key of NAME (or id) from opening its rows; the rows stay."""

    def work(connection: Connection) -> Token:
        found: Token = accounts.find_token(connection, name)
        accounts.disable(connection, tokens, found.id)
        return found

    disabled = store.write(work)
    click.echo(f"Token {printable(disabled.name)} (id {disabled.id}) is disabled.")


def _show(entry: Token, *, new_key: str | None, as_json: bool) -> None:
    """Print a token and the key that was made up; one that was given is known already."""
    if as_json:
        echo_json({**dataclasses.asdict(entry), "key": new_key})
        return
    click.echo(f"Token {printable(entry.name)} (id {entry.id}) of user {entry.user_id} was added.")
    if new_key is not None:
        echo_secret("key", new_key)


def _row(entry: Token, owners: Mapping[int, str]) -> tuple[object, ...]:
    key = "disabled" if entry.disabled else "yes" if entry.has_key else "no"
    owner = owners.get(entry.user_id) or f"id {entry.user_id}"
    return entry.id, entry.name, owner, key, moment(entry.created_at)

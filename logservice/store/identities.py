"""Whose an event is: users and tokens of a batch looked up together, unknown ones registered.

A gateway needs no second bookkeeping: a name, an id, a key or its hash in an event is enough to be known
from then on. What is known is read once for the batch; then the events are gone through in order, so that
they resolve alike whether they come together or one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from . import accounts
from .accounts import chunks
from .records import Record
from .tables import tokens, users


class _Token(NamedTuple):
    id: int
    name: str
    user_id: int


def resolve(connection: Connection, records: Sequence[Record]) -> None:
    """Fill in user_id, username, token_id and token_name of each record, and register who is new."""
    known = _Known(connection, records)
    for record in records:
        known.resolve(record)
    known.register(connection)


class _Known:
    """The users and tokens that a batch speaks of: those of the database, and those met on the way."""

    def __init__(self, connection: Connection, records: Sequence[Record]) -> None:
        rows = [record.row for record in records]
        self._keys = _keys(connection, {record.key_hash for record in records if record.key_hash})
        self._names, self._bearers = _users(
            connection,
            {row["user_id"] for row in rows} | {token.user_id for token in self._keys.values()},
            {row["username"] for row in rows if row["username"] and not row["user_id"]},
        )
        self._tokens = _tokens_of_users(connection, self._names)
        given = {row["token_id"] for row in rows if row["token_id"]}
        self._token_ids = _registered(connection, given)
        self._reserved = given | self._token_ids
        self._given_users = {row["user_id"] for row in rows}
        self._next_user = accounts.next_id(connection, users)
        self._next_token = accounts.next_id(connection, tokens)
        self._new_users: dict[int, str] = {}
        self._renamed: dict[int, str] = {}
        self._new_tokens: list[tuple[int, str, int, str | None]] = []

    def resolve(self, record: Record) -> None:
        """Fill in one record."""
        row, token = record.row, self._keys.get(record.key_hash or "")
        if token is not None and not row["user_id"] and not row["username"]:
            row["user_id"] = token.user_id
        self._resolve_user(row)
        if record.key_hash:
            self._resolve_key(row, record.key_hash)
        elif row["token_id"]:
            self._keep_free(row)
        elif row["token_name"] and row["user_id"]:
            # A name alone stands for a token when exactly one of that user bears it.
            found = self._tokens[row["user_id"], row["token_name"]]
            row["token_id"] = found[0] if len(found) == 1 else 0

    def register(self, connection: Connection) -> None:
        """Write down who is new."""
        accounts.register_users(connection, self._new_users)
        accounts.name_users(connection, self._renamed)
        accounts.register_tokens(connection, self._new_tokens)

    def _resolve_user(self, row: dict[str, Any]) -> None:
        user_id, username = row["user_id"], row["username"]
        if user_id:
            if user_id not in self._names:
                self._add_user(user_id, username)
            elif username and not self._names[user_id]:
                self._name_user(user_id, username)
            row["username"] = username or self._names[user_id]
        elif username:
            if not self._bearers[username]:
                while self._next_user in self._names or self._next_user in self._given_users:
                    self._next_user += 1
                self._add_user(self._next_user, username)
            row["user_id"] = accounts.preferred(self._bearers[username])

    def _add_user(self, user_id: int, username: str) -> None:
        self._new_users[user_id] = self._names[user_id] = username
        if username:
            self._bearers[username].append(user_id)

    def _name_user(self, user_id: int, username: str) -> None:
        self._names[user_id] = username
        self._bearers[username].append(user_id)
        (self._new_users if user_id in self._new_users else self._renamed)[user_id] = username

    def _resolve_key(self, row: dict[str, Any], key_hash: str) -> None:
        """Tie a row to the token of its key. The key decides: it is what somebody will ask with."""
        token = self._keys.get(key_hash)
        if token is None:
            token = _Token(self._id_for_key(row["token_id"]), row["token_name"], row["user_id"])
            self._keys[key_hash] = token
            self._add_token(token, key_hash)
        row["token_id"] = token.id
        row["token_name"] = row["token_name"] or token.name

    def _id_for_key(self, given: int) -> int:
        """Return the id a gateway gave, or one of ours that no row bears yet: the key opens its rows."""
        if 0 < given < accounts.FIRST_ASSIGNED_ID and given not in self._token_ids:
            return given
        while self._next_token in self._reserved:
            self._next_token += 1
        return self._next_token

    def _keep_free(self, row: dict[str, Any]) -> None:
        """Note an id of our own range that was not given here, so that no new key ever gets it."""
        if accounts.is_assigned(row["token_id"]) and row["token_id"] not in self._token_ids:
            self._add_token(_Token(row["token_id"], row["token_name"], row["user_id"]), None)

    def _add_token(self, token: _Token, key_hash: str | None) -> None:
        self._token_ids.add(token.id)
        self._reserved.add(token.id)
        self._tokens[token.user_id, token.name].append(token.id)
        self._new_tokens.append((*token, key_hash))


def _keys(connection: Connection, hashes: Iterable[str]) -> dict[str, _Token]:
    known: dict[str, _Token] = {}
    for chunk in chunks(hashes):
        query = select(tokens.c.key_hash, tokens.c.id, tokens.c.name, tokens.c.user_id)
        for key_hash, *token in connection.execute(query.where(tokens.c.key_hash.in_(chunk))):
            known[key_hash] = _Token(*token)
    return known


def _users(
    connection: Connection, user_ids: set[int], names: set[str]
) -> tuple[dict[int, str], dict[str, list[int]]]:
    """Return the names of users by id, and the ids of those who bear a name."""
    by_id: dict[int, str] = {}
    by_name: dict[str, list[int]] = defaultdict(list)
    query = select(users.c.id, users.c.username)
    for chunk in chunks(user_ids - {0}):
        by_id.update(map(tuple, connection.execute(query.where(users.c.id.in_(chunk)))))
    for chunk in chunks(names):
        for user_id, username in connection.execute(query.where(users.c.username.in_(chunk))):
            by_id[user_id] = username
            by_name[username].append(user_id)
    return by_id, by_name


def _tokens_of_users(connection: Connection, user_ids: Iterable[int]) -> dict[tuple[int, str], list[int]]:
    bearers: dict[tuple[int, str], list[int]] = defaultdict(list)
    for chunk in chunks(user_ids):
        query = select(tokens.c.user_id, tokens.c.name, tokens.c.id).where(tokens.c.user_id.in_(chunk))
        for user_id, name, token_id in connection.execute(query):
            bearers[user_id, name].append(token_id)
    return bearers


def _registered(connection: Connection, token_ids: Iterable[int]) -> set[int]:
    found: set[int] = set()
    for chunk in chunks(token_ids):
        found.update(connection.scalars(select(tokens.c.id).where(tokens.c.id.in_(chunk))))
    return found

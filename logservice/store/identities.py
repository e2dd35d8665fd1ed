"""Whose an event is: users and tokens of a batch looked up together, unknown ones registered.

A gateway needs no second bookkeeping: a name, an id, a key or its hash in an event is enough to be known
from then on. What is known is read once for the batch; then the events are gone through in order, so that
they resolve alike whether they come together or one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable, Table, select

from . import accounts
from .accounts import GONE
from .dialects import Dialect
from .filters import OneOf, chunks
from .prepared import prepared
from .records import Record
from .tables import tokens, users

Row = dict[str, Any]


class _Token(NamedTuple):
    id: int
    name: str
    user_id: int


class Unregistered(Exception):
    """Somebody in the `records` is not registered yet."""

    def __init__(self, records: Sequence[Record]) -> None:
        super().__init__("somebody is not registered yet")
        self.records = records


def resolve(
    connection: Connection, dialect: Dialect, records: Sequence[Record], *, may_register: bool = True
) -> list[Row]:
    """Return a row for each record with user_id, username, token_id and token_name filled in.

    Who is new gets registered, or where that may not be, Unregistered is raised. Where other writers may
    register somebody at the same time, that waits for them and looks again first.
    """
    known = _Known(connection, records)
    rows = known.resolved(records)
    if known.has_new:
        if not may_register:
            raise Unregistered(records)
        if not dialect.one_writer:
            dialect.claim(connection, [accounts.CLAIM])
            known = _Known(connection, records)
            rows = known.resolved(records)
        known.register(connection)
    return rows


class _Known:
    """The users and tokens that a batch speaks of: those of the database, and those met on the way."""

    def __init__(self, connection: Connection, records: Sequence[Record]) -> None:
        self._connection = connection
        rows = [record.row for record in records]
        self._keys = _keys(connection, {record.key_hash for record in records if record.key_hash})
        self._names, self._bearers = _users(
            connection,
            {row["user_id"] for row in rows} | {token.user_id for token in self._keys.values()},
            {row["username"] for row in rows if row["username"] and not row["user_id"]},
        )
        self._given_users = {row["user_id"] for row in rows}
        # Tokens outlive their users, so those of users who are unknown count as well.
        bearers = self._given_users | self._names.keys() if any(map(_is_named_only, records)) else ()
        self._tokens = _tokens_of_users(connection, bearers)
        self._reserved = {row["token_id"] for row in rows if row["token_id"]}
        self._token_ids = _registered(connection, _doubtful(records))
        self._next_user = self._next_token = 0
        self._new_users: dict[int, str] = {}
        self._renamed: dict[int, str] = {}
        self._new_tokens: list[tuple[int, str, int, str | None]] = []

    @property
    def has_new(self) -> bool:
        """Whether anybody was met who is not in the database yet."""
        return bool(self._new_users or self._renamed or self._new_tokens)

    def resolved(self, records: Sequence[Record]) -> list[Row]:
        """Return a filled in row for each record, in order."""
        rows = [record.row.copy() for record in records]
        for row, record in zip(rows, records, strict=True):
            if record.key_hash or not self._is_complete(row):
                self._resolve(row, record.key_hash)
        return rows

    def _is_complete(self, row: Row) -> bool:
        """Whether a row says all there is to know about somebody known: most rows do."""
        return bool(
            row["username"]
            and self._names.get(row["user_id"])
            and 0 < row["token_id"] < accounts.FIRST_ASSIGNED_ID
        )

    def _resolve(self, row: Row, key_hash: str | None) -> None:
        token = self._keys.get(key_hash) if key_hash else None
        if token is not None and not row["user_id"] and not row["username"]:
            row["user_id"] = token.user_id
        self._resolve_user(row)
        if key_hash:
            self._resolve_key(row, key_hash)
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

    def _resolve_user(self, row: Row) -> None:
        user_id, username = row["user_id"], row["username"]
        if user_id:
            if user_id not in self._names:
                self._add_user(user_id, username)
            elif username and not self._names[user_id]:
                self._name_user(user_id, username)
            row["username"] = username or self._names[user_id]
        elif username:
            if not self._bearers[username]:
                self._add_user(self._free_user_id(), username)
            row["user_id"] = accounts.preferred(self._bearers[username])

    def _free_user_id(self) -> int:
        self._next_user = self._next_user or accounts.next_id(self._connection, users)
        while self._next_user in self._names or self._next_user in self._given_users:
            self._next_user += 1
        return self._next_user

    def _add_user(self, user_id: int, username: str) -> None:
        self._new_users[user_id] = self._names[user_id] = username
        if username:
            self._bearers[username].append(user_id)

    def _name_user(self, user_id: int, username: str) -> None:
        self._names[user_id] = username
        self._bearers[username].append(user_id)
        (self._new_users if user_id in self._new_users else self._renamed)[user_id] = username

    def _resolve_key(self, row: Row, key_hash: str) -> None:
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
        self._next_token = self._next_token or accounts.next_id(self._connection, tokens)
        while self._next_token in self._reserved or self._next_token in self._token_ids:
            self._next_token += 1
        return self._next_token

    def _keep_free(self, row: Row) -> None:
        """Note an id of our own range that was not given here, so that no new key ever gets it."""
        if accounts.is_assigned(row["token_id"]) and row["token_id"] not in self._token_ids:
            self._add_token(_Token(row["token_id"], row["token_name"], row["user_id"]), None)

    def _add_token(self, token: _Token, key_hash: str | None) -> None:
        self._token_ids.add(token.id)
        self._tokens[token.user_id, token.name].append(token.id)
        self._new_tokens.append((*token, key_hash))


def _is_named_only(record: Record) -> bool:
    """Whether nothing but its name tells which token a record is about."""
    return bool(record.row["token_name"]) and not record.row["token_id"] and not record.key_hash


def _doubtful(records: Sequence[Record]) -> set[int]:
    """Return the token ids of which it matters whether they are registered: by a key, or in our own range."""
    return {
        record.row["token_id"]
        for record in records
        if record.row["token_id"] and (record.key_hash or accounts.is_assigned(record.row["token_id"]))
    }


def _keys(connection: Connection, hashes: Iterable[str]) -> dict[str, _Token]:
    found = _all_with(connection, tokens, "key_hash", hashes, "key_hash", "id", "name", "user_id")
    return {key_hash: _Token(*token) for key_hash, *token in found}


def _users(
    connection: Connection, user_ids: set[int], names: set[str]
) -> tuple[dict[int, str], dict[str, list[int]]]:
    """Return the names of users by id, and the ids of those who bear a name."""
    by_id = dict(_all_with(connection, users, "id", user_ids - {0}, "id", "username"))
    bearers: dict[str, dict[int, bool]] = defaultdict(dict)
    found = _all_with(connection, users, "username", names, "id", "username", "access_token_hash")
    for user_id, username, access_token in found:
        by_id[user_id] = username
        bearers[username][user_id] = access_token is not None
    by_name: dict[str, list[int]] = defaultdict(list)
    for username, has_login in bearers.items():
        # Somebody who can look at the rows comes before those who are known from events only.
        by_name[username] += [user_id for user_id in has_login if has_login[user_id]] or has_login
    return by_id, by_name


def _tokens_of_users(connection: Connection, user_ids: Iterable[int]) -> dict[tuple[int, str], list[int]]:
    bearers: dict[tuple[int, str], list[int]] = defaultdict(list)
    found = _all_with(connection, tokens, "user_id", user_ids, "user_id", "name", "id", "gateway")
    for user_id, name, token_id, gateway in found:
        if gateway != GONE:
            bearers[user_id, name].append(token_id)
    return bearers


def _registered(connection: Connection, token_ids: Iterable[int]) -> set[int]:
    return {token_id for (token_id,) in _all_with(connection, tokens, "id", token_ids, "id")}


def _all_with(
    connection: Connection, table: Table, column: str, values: Iterable[Any], *wanted: str
) -> Iterator[Any]:
    """Yield columns of the rows of a table that have one of some values in a column."""
    for chunk in chunks(values):
        form = OneOf.fitting(chunk)
        yield from _with_values(connection, form.values("value", chunk), table, column, form, wanted)


@prepared
def _with_values(table: Table, column: str, form: OneOf, wanted: tuple[str, ...]) -> Executable:
    return select(*(table.c[name] for name in wanted)).where(form(table.c[column], "value"))

"""Whose an event is: users and tokens of a batch looked up together, unknown ones registered.

A gateway needs no second bookkeeping: a name, an id, a key or its hash in an event is enough to be known
from then on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from . import accounts
from .accounts import FIRST_ASSIGNED_ID, chunks
from .records import Record
from .tables import tokens, users


@dataclass(slots=True)
class _KnownToken:
    id: int
    name: str
    user_id: int


def resolve(connection: Connection, records: Sequence[Record]) -> None:
    """Fill in user_id, username, token_id and token_name of each record from what is known of the others."""
    keys = _known_keys(connection, {record.key_hash for record in records if record.key_hash})
    for record in records:
        _owner_from_key(record, keys)
    _resolve_users(connection, [record.row for record in records])
    _resolve_keys(connection, records, keys)
    _resolve_token_names(connection, [record.row for record in records])


def _owner_from_key(record: Record, keys: dict[str, _KnownToken]) -> None:
    known = keys.get(record.key_hash or "")
    if known is not None and not record.row["user_id"] and not record.row["username"]:
        record.row["user_id"] = known.user_id


def _resolve_users(connection: Connection, rows: Iterable[dict[str, Any]]) -> None:
    rows = list(rows)
    names = _known_users(connection, {row["user_id"] for row in rows if row["user_id"]})
    ids = _ids_of_names(
        connection, {row["username"] for row in rows if row["username"] and not row["user_id"]}
    )
    new: dict[int, str] = {}
    following = accounts.next_id(connection, users)
    for row in rows:
        user_id, username = row["user_id"], row["username"]
        if user_id:
            if user_id not in names:
                names[user_id] = new[user_id] = username
            row["username"] = username or names[user_id]
        elif username:
            if username not in ids:
                while following in names:
                    following += 1
                ids[username] = following
                names[following] = new[following] = username
            row["user_id"] = ids[username]
    accounts.register_users(connection, new)


def _known_users(connection: Connection, user_ids: set[int]) -> dict[int, str]:
    known: dict[int, str] = {}
    for chunk in chunks(user_ids):
        query = select(users.c.id, users.c.username).where(users.c.id.in_(chunk))
        known.update((user_id, username) for user_id, username in connection.execute(query))
    return known


def _ids_of_names(connection: Connection, names: set[str]) -> dict[str, int]:
    """Return one id for each known name; of several bearers ours before a gateway's, then the lowest."""
    bearers: dict[str, list[int]] = defaultdict(list)
    for chunk in chunks(names):
        query = select(users.c.username, users.c.id).where(users.c.username.in_(chunk))
        for username, user_id in connection.execute(query):
            bearers[username].append(user_id)
    return {
        name: min(ids, key=lambda found: (found < FIRST_ASSIGNED_ID, found)) for name, ids in bearers.items()
    }


def _known_keys(connection: Connection, hashes: set[str]) -> dict[str, _KnownToken]:
    known: dict[str, _KnownToken] = {}
    for chunk in chunks(hashes):
        query = select(tokens.c.key_hash, tokens.c.id, tokens.c.name, tokens.c.user_id)
        for key_hash, token_id, name, user_id in connection.execute(
            query.where(tokens.c.key_hash.in_(chunk))
        ):
            known[key_hash] = _KnownToken(token_id, name, user_id)
    return known


def _resolve_keys(connection: Connection, records: Sequence[Record], keys: dict[str, _KnownToken]) -> None:
    """Tie records to the token of their key. The key decides: it is what somebody will ask with."""
    unknown = [record for record in records if record.key_hash and record.key_hash not in keys]
    taken = _taken_token_ids(connection, {record.row["token_id"] for record in unknown})
    new: list[tuple[int, str, int, str]] = []
    following = accounts.next_id(connection, tokens) if unknown else 0
    for record in records:
        if not record.key_hash:
            continue
        row = record.row
        known = keys.get(record.key_hash)
        if known is None:
            token_id = row["token_id"]
            if not token_id or token_id in taken:
                while following in taken:
                    following += 1
                token_id = following
            taken.add(token_id)
            known = keys[record.key_hash] = _KnownToken(token_id, row["token_name"], row["user_id"])
            new.append((token_id, known.name, known.user_id, record.key_hash))
        row["token_id"] = known.id
        row["token_name"] = row["token_name"] or known.name
    accounts.register_tokens(connection, new)


def _taken_token_ids(connection: Connection, token_ids: set[int]) -> set[int]:
    taken: set[int] = set()
    for chunk in chunks(token_ids - {0}):
        taken.update(connection.scalars(select(tokens.c.id).where(tokens.c.id.in_(chunk))))
    return taken


def _resolve_token_names(connection: Connection, rows: Iterable[dict[str, Any]]) -> None:
    """Tie rows that carry only a token name to the token, when exactly one of that user bears it."""
    loose = [row for row in rows if row["token_name"] and not row["token_id"] and row["user_id"]]
    bearers: dict[tuple[int, str], list[int]] = defaultdict(list)
    for chunk in chunks({row["user_id"] for row in loose}):
        query = select(tokens.c.user_id, tokens.c.name, tokens.c.id).where(tokens.c.user_id.in_(chunk))
        for user_id, name, token_id in connection.execute(query):
            bearers[user_id, name].append(token_id)
    for row in loose:
        found = bearers.get((row["user_id"], row["token_name"]), [])
        if len(found) == 1:
            row["token_id"] = found[0]

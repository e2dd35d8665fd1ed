"""Users and API tokens: who is known, by which secret, and under which id.

Ids that are assigned here start at 2**31, so that they never meet a gateway's own. Secrets are kept as
SHA-256 only.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, TypeVar, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Row,
    Table,
    bindparam,
    false,
    func,
    insert,
    literal_column,
    select,
    update,
)

from ..errors import AlreadyExists, InvalidValue, NotFound
from .filters import OneOf
from .jobs import Claim
from .prepared import Reader, prepared
from .records import hash_key, key_hashes
from .tables import tokens, users

Role = Literal["user", "admin", "writer"]
ROLES: tuple[str, ...] = get_args(Role)

FIRST_ASSIGNED_ID = 2**31
#: The claim of writers that give out ids or register somebody.
CLAIM = Claim("identities")
#: What stands in `gateway` of a user or token that the gateway no longer knows.
GONE = "gone"
_LIMITS = (2**52, 2**48, 2**44, 2**40, 2**36)
_ROOM = 2**24
_MIN_SECRET = 16


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who is known, with or without a login."""

    id: int
    username: str
    role: str
    has_login: bool
    disabled: bool
    created_at: int


@dataclass(frozen=True, slots=True)
class Token:
    """An API token whose rows are told apart."""

    id: int
    name: str
    user_id: int
    has_key: bool
    disabled: bool
    created_at: int


Known = TypeVar("Known", User, Token)


def new_secret() -> str:
    """Return a new access token or key: 32 random bytes in URL-safe text."""
    return secrets.token_urlsafe(32)


def checked_secret(name: str, secret: str) -> str:
    """Return a secret somebody chose, or raise InvalidValue when it is too short to be one."""
    if len(secret) < _MIN_SECRET or secret != secret.strip():
        raise InvalidValue(f"{name}: needs {_MIN_SECRET} characters or more, without blanks at its ends")
    return secret


def hash_secret(secret: str) -> str:
    """Return what is stored of an access token."""
    return sha256(secret.encode()).hexdigest()


def is_assigned(row_id: int) -> bool:
    """Whether an id lies in the range from which users and tokens are given theirs here."""
    return FIRST_ASSIGNED_ID <= row_id < _LIMITS[0]


def next_id(connection: Connection, table: Table) -> int:
    """Return an id for a new row of `table`, with room for more above it.

    That is the one after the highest so far; where somebody else's ids crowd the end of the range, the one
    after the highest in a lower part of it.
    """
    for limit in _LIMITS:
        below = table.c.id.between(FIRST_ASSIGNED_ID, limit - 1)
        last = connection.scalar(select(func.max(table.c.id)).where(below))
        if last is None or last < limit - _ROOM:
            return FIRST_ASSIGNED_ID if last is None else last + 1
    raise InvalidValue("id: there is none left to give")


def preferred(user_ids: Iterable[int]) -> int:
    """Return who is meant by a name that several bear: one of ours before a gateway's, then the lowest."""
    return min(user_ids, key=lambda user_id: (user_id < FIRST_ASSIGNED_ID, user_id))


# -- looking up --------------------------------------------------------------------------------------------


def by_access_token(connection: Reader, secret: str) -> User | None:
    """Return the user whose access token this is, unless disabled."""
    found = _users_with_token(connection, {"hash": hash_secret(secret)})
    known = [User(*row) for row in found]
    return None if not known or known[0].disabled else known[0]


@prepared
def _users_with_token() -> Executable:
    """Select the fields of `User`."""
    has_login: ColumnElement[bool] = literal_column("1")
    known = select(
        users.c.id, users.c.username, users.c.role, has_login, users.c.disabled, users.c.created_at
    )
    return known.where(users.c.access_token_hash == bindparam("hash"))


def token_ids_of_key(connection: Reader, key: str) -> tuple[int, ...]:
    """Return the ids of the tokens an API key opens; none when it is unknown, or it or its user disabled.

    It may be known as two, with its `sk-` and without: disabled as one of them it is disabled.
    """
    hashes = key_hashes(key)
    form = OneOf.fitting(hashes)
    found = _tokens_with_hash(connection, form.values("hash", hashes), form)
    return tuple(token_id for token_id, _ in found) if all(usable for _, usable in found) else ()


@prepared
def _tokens_with_hash(form: OneOf) -> Executable:
    owner = tokens.outerjoin(users, users.c.id == tokens.c.user_id)
    usable = tokens.c.disabled.is_(false()) & func.coalesce(users.c.disabled, false()).is_(false())
    return select(tokens.c.id, usable).select_from(owner).where(form(tokens.c.key_hash, "hash"))


def list_users(connection: Connection) -> list[User]:
    """Return everybody who is known, by id."""
    return [_user(row) for row in connection.execute(select(users).order_by(users.c.id))]


def list_tokens(connection: Connection) -> list[Token]:
    """Return every known token, by id."""
    return [_token(row) for row in connection.execute(select(tokens).order_by(tokens.c.id))]


def has_login(connection: Connection) -> bool:
    """Whether any access token was ever issued."""
    return (
        connection.scalar(select(users.c.id).where(users.c.access_token_hash.is_not(None)).limit(1))
        is not None
    )


def find_user(connection: Connection, name_or_id: str) -> User:
    """Return the user of this name, or of this id when nobody bears the name.

    Raises NotFound, or InvalidValue when several bear the name.
    """
    return _only(
        "user", name_or_id, [_user(row) for row in _named(connection, users, "username", name_or_id)]
    )


def find_token(connection: Connection, name_or_id: str) -> Token:
    """Return the token of this name, or of this id when none bears the name; errors as `find_user`."""
    return _only("token", name_or_id, [_token(row) for row in _named(connection, tokens, "name", name_or_id)])


def _named(connection: Connection, table: Table, column: str, name_or_id: str) -> Sequence[Row[Any]]:
    found = connection.execute(select(table).where(table.c[column] == name_or_id)).all()
    if found or not re.fullmatch("[0-9]{1,18}", name_or_id, re.ASCII):
        return found
    return connection.execute(select(table).where(table.c.id == int(name_or_id))).all()


def _only(noun: str, given: str, found: Sequence[Known]) -> Known:
    if not found:
        raise NotFound(f"no {noun} is called {given!r}")
    if len(found) > 1:
        ids = ", ".join(str(entry.id) for entry in found)
        raise InvalidValue(f"several {noun}s are called {given!r}; give the id instead, one of {ids}")
    return found[0]


def _user(row: Row[Any]) -> User:
    login = row.access_token_hash is not None
    return User(row.id, row.username, row.role, login, bool(row.disabled), row.created_at)


def _token(row: Row[Any]) -> Token:
    return Token(row.id, row.name, row.user_id, row.key_hash is not None, bool(row.disabled), row.created_at)


# -- issuing -----------------------------------------------------------------------------------------------


def add_user(
    connection: Connection, username: str, *, role: str = "user", user_id: int | None = None, secret: str
) -> User:
    """Give somebody a login; somebody known only from events keeps the id.

    Raises AlreadyExists or InvalidValue.
    """
    _check_name("username", username)
    if role not in ROLES:
        raise InvalidValue(f"role: {role!r} is none of {', '.join(ROLES)}")
    hashed = hash_secret(secret)
    _refuse_taken(connection, users.c.access_token_hash == hashed, "access token")
    known = _known_user(connection, username, user_id)
    if known is not None and known.access_token_hash is not None:
        raise AlreadyExists(f"user {known.username!r} (id {known.id}) has a login already; see `user rotate`")
    values = {"username": username, "role": role, "access_token_hash": hashed, "disabled": False}
    if known is None:
        new_id = next_id(connection, users) if user_id is None else user_id
        connection.execute(insert(users).values(id=new_id, created_at=int(time.time()), **values))
    else:
        new_id = known.id
        connection.execute(update(users).where(users.c.id == new_id).values(**values))
    return _user(connection.execute(select(users).where(users.c.id == new_id)).one())


def _known_user(connection: Connection, username: str, user_id: int | None) -> Row[Any] | None:
    """Return who is meant: by id when one is given; else by name, whoever has a login first."""
    if user_id is not None:
        if not 0 < user_id < 2**53:
            raise InvalidValue("id: must be from 1 to 2**53 - 1")
        return connection.execute(select(users).where(users.c.id == user_id)).one_or_none()
    bearers = connection.execute(select(users).where(users.c.username == username).order_by(users.c.id)).all()
    with_login = [row for row in bearers if row.access_token_hash is not None]
    if not bearers:
        return None
    known = {row.id: row for row in with_login or bearers}
    return known[preferred(known)]


def rotate_user(connection: Connection, user_id: int, secret: str) -> None:
    """Give a user a new access token; the old one ends with it."""
    hashed = hash_secret(secret)
    _refuse_taken(connection, users.c.access_token_hash == hashed, "access token")
    connection.execute(
        update(users).where(users.c.id == user_id).values(access_token_hash=hashed, disabled=False)
    )


def disable(connection: Connection, table: Table, row_id: int) -> None:
    """Disable a user or a token; its rows stay."""
    connection.execute(update(table).where(table.c.id == row_id).values(disabled=True))


def add_token(
    connection: Connection, name: str, *, user_id: int, token_id: int | None = None, key: str
) -> Token:
    """Register an API key under a name. Raises AlreadyExists when key or id are taken, or InvalidValue."""
    _check_name("name", name)
    hashed = hash_key(key)
    _refuse_taken(connection, tokens.c.key_hash == hashed, "key")
    if token_id is not None and not 0 < token_id < 2**53:
        raise InvalidValue("id: must be from 1 to 2**53 - 1")
    new_id = next_id(connection, tokens) if token_id is None else token_id
    if connection.scalar(select(tokens.c.id).where(tokens.c.id == new_id)) is not None:
        raise AlreadyExists(f"a token with id {new_id} exists already")
    connection.execute(insert(tokens), [_token_row(new_id, name, user_id, hashed)])
    return _token(connection.execute(select(tokens).where(tokens.c.id == new_id)).one())


def _token_row(token_id: int, name: str, user_id: int, key_hash: str | None) -> dict[str, Any]:
    return {
        "id": token_id,
        "name": name,
        "user_id": user_id,
        "key_hash": key_hash,
        "disabled": False,
        "created_at": int(time.time()),
    }


def _check_name(field: str, name: str) -> None:
    if not name.strip() or len(name) > 128 or "\0" in name:
        raise InvalidValue(f"{field}: needs 1 to 128 characters")


def _refuse_taken(connection: Connection, condition: ColumnElement[bool], noun: str) -> None:
    column = users.c.id if noun == "access token" else tokens.c.id
    if connection.scalar(select(column).where(condition)) is not None:
        raise AlreadyExists(f"this {noun} is in use already")


def register_users(connection: Connection, rows: Mapping[int, str]) -> None:
    """Note users that were met in events, by id: they get no login."""
    now = int(time.time())
    new = [
        {"id": user_id, "username": rows[user_id], "role": "user", "created_at": now, "disabled": False}
        for user_id in sorted(rows)
    ]
    if new:
        connection.execute(insert(users), new)


def name_users(connection: Connection, names: Mapping[int, str]) -> None:
    """Give names to users who were met by their id alone until now."""
    for user_id in sorted(names):
        connection.execute(update(users).where(users.c.id == user_id).values(username=names[user_id]))


def register_tokens(connection: Connection, rows: Sequence[tuple[int, str, int, str | None]]) -> None:
    """Note tokens that were met in events: (id, name, user id, hash of the key if there was one)."""
    if rows:
        connection.execute(insert(tokens), [_token_row(*row) for row in rows])

"""The users and tokens of a gateway, taken over as often as it is imported.

What changes at the gateway changes here: names, roles, secrets, and whether somebody may enter at all. What
was decided here stays until the gateway says something new, so each row remembers what the gateway said last.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Table, insert, select, update

from .accounts import GONE
from .filters import chunks
from .tables import tokens, users


@dataclass(frozen=True, slots=True)
class GatewayUser:
    """A user as the gateway knows it; `access_token_hash` is None for one who has no access token."""

    id: int
    username: str
    role: str
    disabled: bool
    access_token_hash: str | None


@dataclass(frozen=True, slots=True)
class GatewayToken:
    """An API key as the gateway knows it; `key_hash` is the SHA-256 of `sk-` and the bare key.

    `bare_hash` is that of the bare key: under one of them the key opens its rows even where the other is
    taken.
    """

    id: int
    name: str
    user_id: int
    disabled: bool
    key_hash: str | None
    bare_hash: str | None


def take_over(
    connection: Connection, *, users: Sequence[GatewayUser], tokens: Sequence[GatewayToken]
) -> list[str]:
    """Bring users and tokens to what the gateway says; return what could not be, in sentences.

    Whoever the gateway no longer knows is disabled, and so are the tokens of such users. Without any user at
    all nothing is taken over: that is a database of logs only.
    """
    if not users:
        return []
    people = {user.id: asdict(user) for user in users}
    keys = {
        token.id: asdict(token) | {"disabled": token.disabled or token.user_id not in people}
        for token in tokens
    }
    return _User(connection).take_over(people) + _Token(connection).take_over(keys)


class _Accounts:
    """One of the two tables, and how the rows of a gateway are brought into it."""

    table: Table
    noun: str
    secret: str

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = {row.id: row._asdict() for row in connection.execute(select(self.table))}
        self._bearers = {row[self.secret]: row_id for row_id, row in self._rows.items() if row[self.secret]}
        self._refused: list[str] = []

    def take_over(self, said: Mapping[int, dict[str, Any]]) -> list[str]:
        """Write what is new or has changed.

        Secrets that are replaced are let go of first: one may have passed from one to another.
        """
        known = (row_id for row_id, row in self._rows.items() if row["gateway"] not in (None, GONE))
        self._let_go([row_id for row_id in known if row_id not in said], disabled=True, gateway=GONE)
        self._let_go([row_id for row_id in said if self.secret in self._changed(row_id, said[row_id])])
        new = [values for row_id in sorted(said) if (values := self._take_over(row_id, said[row_id]))]
        if new:
            self._connection.execute(insert(self.table), new)
        return self._refused

    def _take_over(self, row_id: int, said: dict[str, Any]) -> dict[str, Any] | None:
        """Bring a row up to date, or return what a new one is to hold."""
        text = _text(said)
        row = self._rows.get(row_id)
        if row is not None and row["gateway"] == text:
            return None
        changed = self._changed(row_id, said)
        if changed.get(self.secret) is not None:
            changed[self.secret] = self._free(row_id, self._secrets(said))
            if changed[self.secret] is None:
                # It is tried again next time.
                text = _text({**said, self.secret: None})
        self._apply_to_twins(said, changed)
        values = {**changed, "gateway": text}
        if row is None:
            return {"id": row_id, "created_at": int(time.time()), **values}
        self._connection.execute(update(self.table).where(self.table.c.id == row_id).values(**values))
        return None

    def _changed(self, row_id: int, said: dict[str, Any]) -> dict[str, Any]:
        """Return what the gateway says anew; a login given here comes before its first word."""
        row = self._rows.get(row_id)
        fresh = {name: value for name, value in said.items() if name in self.table.c and name != "id"}
        if row is None:
            return fresh
        if row["gateway"] in (None, GONE):
            return {} if row["gateway"] is None and row[self.secret] else fresh
        before = orjson.loads(row["gateway"])
        return {name: value for name, value in fresh.items() if before.get(name) != value}

    def _secrets(self, said: dict[str, Any]) -> Iterable[str]:
        return [said[self.secret]]

    def _apply_to_twins(self, said: dict[str, Any], changed: dict[str, Any]) -> None:
        """Have other rows with the same secret follow."""

    def _free(self, row_id: int, hashes: Iterable[str]) -> str | None:
        """Return the first of some hashes that nobody else bears, and note it."""
        for found in hashes:
            if self._bearers.setdefault(found, row_id) == row_id:
                return found
        self._refused.append(
            f"the secret of {self.noun} {row_id} belongs to another one here, and was left to that one"
        )
        return None

    def _let_go(self, row_ids: Iterable[int], **values: Any) -> None:
        """Take the secrets of some rows away, and set what else is given."""
        known = [row_id for row_id in row_ids if row_id in self._rows]
        gone = {self._rows[row_id][self.secret] for row_id in known}
        self._bearers = {secret: row_id for secret, row_id in self._bearers.items() if secret not in gone}
        for some in chunks(known):
            found = update(self.table).where(self.table.c.id.in_(some))
            self._connection.execute(found.values({self.secret: None, **values}))


class _User(_Accounts):
    table = users
    noun = "user"
    secret = "access_token_hash"  # nosec B105 # the column


class _Token(_Accounts):
    table = tokens
    noun = "token"
    secret = "key_hash"  # nosec B105 # the column

    def _secrets(self, said: dict[str, Any]) -> Iterable[str]:
        return [said["key_hash"], said["bare_hash"]]

    def _apply_to_twins(self, said: dict[str, Any], changed: dict[str, Any]) -> None:
        """Have a token that was known by the key before the gateway was opened and closed with it."""
        if "disabled" in changed and said["key_hash"] is not None:
            twins = [tokens.c.key_hash.in_(self._secrets(said)), tokens.c.id != said["id"]]
            found = update(tokens).where(*twins, tokens.c.gateway.is_(None))
            self._connection.execute(found.values(disabled=said["disabled"]))


def _text(said: Mapping[str, Any]) -> str:
    return orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode()

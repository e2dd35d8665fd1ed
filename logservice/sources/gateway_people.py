"""Users and tokens of new-api and one-api, turned into what is kept of them here."""

from __future__ import annotations

from typing import Protocol

from ..store.accounts import hash_secret
from ..store.gateway_accounts import GatewayToken, GatewayUser
from ..store.records import key_hashes
from . import values

#: From this role on a gateway's user administers it; 100 is its root.
_ADMIN = 10
_ENABLED = 1
#: Expired (3) and exhausted (4) tokens cannot call models any more, and their holders may still look.
_TOKEN_DISABLED = 2


class UserRow(Protocol):
    """A row of the table of users; None where there is no such column."""

    id: int
    username: str | None
    role: int | None
    status: int | None
    access_token: str | None
    deleted_at: object


class TokenRow(Protocol):
    """A row of the table of tokens; None where there is no such column."""

    id: int
    user_id: int | None
    name: str | None
    key: str | None
    status: int | None
    deleted_at: object


def user(row: UserRow) -> GatewayUser:
    """Return what is kept of a user: the access token as its hash."""
    secret = (row.access_token or "").strip()
    return GatewayUser(
        id=row.id,
        username=values.user_name("username", row.username) or "",
        role="admin" if (row.role or 0) >= _ADMIN else "user",
        disabled=row.deleted_at is not None or row.status not in (None, _ENABLED),
        access_token_hash=hash_secret(secret) if secret else None,
    )


def token(row: TokenRow) -> GatewayToken:
    """Return what is kept of a token: its key as hashes."""
    key = (row.key or "").strip().removeprefix("sk-")
    as_sent, bare = (key_hashes(key)[0], key_hashes(key)[-1]) if key else (None, None)
    return GatewayToken(
        id=row.id,
        name=values.name("name", row.name) or "",
        user_id=row.user_id or 0,
        disabled=row.deleted_at is not None or row.status == _TOKEN_DISABLED,
        key_hash=as_sent,
        bare_hash=bare,
    )

"""What is worth knowing before somebody is locked out, or mistaken for somebody else."""

from __future__ import annotations

from sqlalchemy import Connection, false, func, select

from .accounts import Token, User
from .tables import tokens, users


def count_admins(connection: Connection) -> int:
    """Return how many admins can log in."""
    can = [users.c.role == "admin", users.c.access_token_hash.is_not(None), users.c.disabled.is_(false())]
    return int(connection.scalar(select(func.count()).select_from(users).where(*can)) or 0)


def namesakes(connection: Connection, entry: User | Token) -> list[int]:
    """Return the ids of others that bear the name of a user, or that of a token of the same user."""
    if isinstance(entry, User):
        found = select(users.c.id).where(users.c.username == entry.username, users.c.id != entry.id)
    else:
        same = [tokens.c.name == entry.name, tokens.c.user_id == entry.user_id]
        found = select(tokens.c.id).where(*same, tokens.c.id != entry.id)
    return sorted(connection.scalars(found))

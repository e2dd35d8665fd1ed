"""What a test would otherwise have to wait for."""

from __future__ import annotations

from sqlalchemy import update

from logservice.store import marks, tables
from logservice.store.store import LogStore


def let_marks_expire(store: LogStore) -> None:
    """Let as much time pass for the marks of what was killed as they last, without waiting for it."""
    expired = tables.marks.c.expires_at - marks.LIFETIME
    store.write(lambda connection: connection.execute(update(tables.marks).values(expires_at=expired)))

"""Answers remembered by Idempotency-Key, so that a repeated post stores nothing twice.

The answer is written in the transaction of the rows it speaks of: either both are on disk or neither is.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import Connection, delete, insert, select

from ..errors import Conflict
from .tables import idempotency

#: How long an answer is remembered, in seconds.
REMEMBERED = 24 * 3600


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key as one principal sent it to one route, and the body it came with; both as hashes."""

    key_hash: str
    body_hash: str

    @classmethod
    def of(cls, principal: str, route: str, key: str, body: bytes) -> IdempotencyKey:
        """Return the key of a request."""
        named = "\0".join((principal, route, key))
        return cls(sha256(named.encode()).hexdigest(), sha256(body).hexdigest())

    def same_answer(self, body_hash: str, answer: str) -> str:
        """Return the answer given to the body that came with this key; Conflict if that was another one."""
        if body_hash != self.body_hash:
            raise Conflict("Idempotency-Key: was used before with another body")
        return answer


def remembered(connection: Connection, key: IdempotencyKey, *, now: int) -> str | None:
    """Return the answer given before, or None. Raises Conflict when the body was another one then."""
    table = idempotency
    query = select(table.c.body_hash, table.c.answer).where(
        table.c.key_hash == key.key_hash, table.c.created_at > now - REMEMBERED
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else key.same_answer(row.body_hash, row.answer)


def remember(connection: Connection, key: IdempotencyKey, answer: str, *, now: int) -> None:
    """Keep the answer, and forget those that are older than a day."""
    connection.execute(delete(idempotency).where(idempotency.c.created_at <= now - REMEMBERED))
    connection.execute(
        insert(idempotency).values(
            key_hash=key.key_hash, body_hash=key.body_hash, answer=answer, created_at=now
        )
    )

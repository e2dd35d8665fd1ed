"""Storing events: rows, what they say, and their usage, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from sqlalchemy import Connection

from ..errors import Conflict
from . import contents, idempotency, identities, ids, kept_ids, kept_usage, recent, rollups
from .dialects import Dialect
from .idempotency import IdempotencyKey
from .ids import IdRange
from .jobs import Claim
from .kept_ids import InTables
from .records import Record
from .tables import records

_columns = itemgetter(*(column.name for column in records.c))


@dataclass(slots=True)
class Post:
    """Clean records to be stored, all or none, and what the producer is to be answered.

    With an idempotency key seen before nothing is stored and the answer of that time counts. `is_stored` is
    true where the rows lie in a place of their own, and the transaction around that is tried again.
    """

    records: Sequence[Record]
    answer: str = ""
    key: IdempotencyKey | None = None
    is_stored: bool = False

    def claims(self) -> Iterator[Claim]:
        """Yield what must not change meanwhile: the weeks of the rows, and whether the key was used."""
        yield from week_claims(self.records, shared=True)
        if self.key is not None:
            yield Claim(f"key {self.key.key_hash}")


def week_claim(second: int, *, shared: bool) -> Claim:
    """Return the claim on the rows, contents and buckets of the week of a second.

    Who adds to them shares it; who removes any, or computes them anew, has it alone.
    """
    return Claim(f"week {second // ids.WEEK}", shared)


def week_claims(new: Iterable[Record], *, shared: bool) -> Iterator[Claim]:
    """Yield the claims on all weeks that records lie in."""
    for week in {record.second // ids.WEEK for record in new}:
        yield week_claim(week * ids.WEEK, shared=shared)


def span_claims(span: IdRange) -> Iterator[Claim]:
    """Yield the claims, each alone, on all weeks that a range of ids touches."""
    for week in range(ids.second_of(span.low) // ids.WEEK, ids.second_of(span.high - 1) // ids.WEEK + 1):
        yield week_claim(week * ids.WEEK, shared=False)


def store(
    connection: Connection, dialect: Dialect, posts: Sequence[Post], *, now: int
) -> list[str | Exception]:
    """Store posts together and return the answer of each, or Conflict for a key used with another body."""
    outcomes: list[str | Exception] = []
    new: list[Post] = []
    for post in posts:
        outcome = earlier(connection, post, new, now=now)
        outcomes.append(post.answer if outcome is None else outcome)
        if outcome is None:
            new.append(post)
    insert(connection, dialect, [record for post in new for record in post.records], now=now)
    for post in new:
        if post.key is not None:
            idempotency.remember(connection, post.key, post.answer, now=now)
    return outcomes


def earlier(connection: Connection, post: Post, new: Sequence[Post], *, now: int) -> str | Exception | None:
    """Return what became of a post with the same key, be it stored or among the new ones."""
    if post.key is None:
        return None
    try:
        for other in new:
            if other.key is not None and other.key.key_hash == post.key.key_hash:
                return post.key.same_answer(other.key.body_hash, other.answer)
        return idempotency.remembered(connection, post.key, now=now)
    except Conflict as error:
        return error


def insert(connection: Connection, dialect: Dialect, new: Sequence[Record], *, now: int) -> int:
    """Store clean records and return how many: those that keep their ids may be there already.

    `now` is in epoch seconds. Identities are resolved, ids assigned, contents and buckets kept along.
    """
    if not new:
        return 0
    dialect.make_room(connection, (record.second for record in new))
    rows = identities.resolve(connection, dialect, new)
    found = kept_ids.sorted_out(InTables(connection), new, rows)
    kept_usage.take_back(connection, dialect, found.back, displaced=found.displaced)
    _insert(connection, dialect, found.kept, now=now)
    # Only now, for a new id is one that nobody has.
    for row, row_id in zip(found.others, dialect.new_ids(connection, found.seconds), strict=True):
        row["id"] = row_id
    _insert(connection, dialect, found.others, now=now)
    return len(found.kept) + len(found.others)


def _insert(connection: Connection, dialect: Dialect, rows: Sequence[identities.Row], *, now: int) -> None:
    if not rows:
        return
    contents.assign(connection, dialect, rows)
    dialect.insert(connection, records, [_columns(row) for row in rows])
    rollups.add_rows(connection, dialect, rows)
    recent.add(connection, dialect, rows, now=now)

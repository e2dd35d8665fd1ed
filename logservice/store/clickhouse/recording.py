"""Storing rows in blocks, in the middle of a transaction of the metadata that ends once they are stored.

Should the process end in between, a post that is sent again with its Idempotency-Key becomes the same block,
which is not stored again.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, select

from ...errors import Conflict
from .. import idempotency, identities, ids, kept_ids, kept_usage, recording
from ..dialects import Dialect
from ..filters import OneOf, chunks
from ..kept_ids import TOLD_APART, Facts
from ..prepared import prepared
from ..recording import Post
from ..records import Record
from .hiding import BeingDeleted
from .ids import KNOWN_SECONDS, Ids, leased, process_of_id
from .selecting import Hidden
from .sessions import Sessions
from .tables import COLUMNS, KINDS, records

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that are stored together, and what they are known by should they come again."""

    rows: Sequence[Row]
    token: str


class Recorder:
    """Stores rows in the one place, within a transaction of the metadata."""

    def __init__(self, sessions: Sessions, metadata: Dialect) -> None:
        self._sessions = sessions
        self._metadata = metadata
        self.ids = Ids(sessions, metadata)

    def store(
        self, connection: Connection, posts: Sequence[Post], *, now: int, hidden: Hidden | None
    ) -> list[str | Exception]:
        """Store posts together and return the answer of each, or what is wrong with it.

        A post with a key is a block, for it is known by that again; all others are one together. A block that
        is stored stays, whatever becomes of the transaction, and is not stored again where that is repeated.
        """
        outcomes: list[str | Exception] = []
        new: list[Post] = []
        blocks: list[tuple[Block, Sequence[Post]]] = []
        for post in posts:
            outcome = recording.earlier(connection, post, new, now=now)
            outcomes.append(post.answer if outcome is None else outcome)
            if outcome is None:
                new.append(post)
        for post in new:
            if post.key is not None:
                idempotency.remember(connection, post.key, post.answer, now=now)
        left = [post for post in new if not post.is_stored]
        for group in [
            *([post] for post in left if post.key is not None),
            [post for post in left if post.key is None],
        ]:
            rows = [record for post in group for record in post.records]
            token = token_of(group[0], now=now) if group else ""
            blocks.append((self._block(connection, rows, token, now=now, hidden=hidden), group))
        for block, stored in blocks:
            self.send(block)
            for post in stored:
                post.is_stored = True
        return outcomes

    def insert(
        self, connection: Connection, new: Sequence[Record], *, token: str, now: int, hidden: Hidden | None
    ) -> int:
        """Store records and return how many: those that keep their ids may be there already."""
        block = self._block(connection, new, token or secrets.token_hex(16), now=now, hidden=hidden)
        self.send(block)
        return len(block.rows)

    def send(self, block: Block) -> None:
        """Store a block, and return once it is on disk."""
        if not block.rows:
            return
        columns = [[row[name] for row in block.rows] for name in COLUMNS]
        self._sessions.insert(records.name, COLUMNS, KINDS, columns, token=block.token)

    def _block(
        self,
        connection: Connection,
        new: Sequence[Record],
        token: str,
        *,
        now: int,
        hidden: Hidden | None,
    ) -> Block:
        """Return the rows of records: who they belong to is looked up, and ids are given.

        Raises Unregistered where somebody has to be registered first, in a transaction before this one.
        """
        if not new:
            return Block([], token)
        if hidden is not None and any(hidden.may_hold(one.second, one.row["type"]) for one in new):
            raise BeingDeleted
        rows = [record.whose.copy() for record in new if record.whose is not None]
        if len(rows) < len(new):
            # Ids given to people here would be given again if this transaction were lost, and the block not.
            rows = identities.resolve(connection, self._metadata, new, may_register=False)
        found = kept_ids.sorted_out(self._stored(connection, now), new, rows, there_too=True)
        kept_usage.take_back(connection, self._metadata, found.back, displaced=found.displaced)
        kept = [row["id"] for row in found.kept]
        assigned = self.ids.assign(connection, found.seconds, beside=kept, now=now) if found.seconds else []
        for row, row_id in zip(found.others, assigned, strict=True):
            row["id"] = row_id
        every = [*found.kept, *found.others]
        for row in every:
            row["created_at"] = ids.second_of(row["id"])
            folded = row["content"].casefold()
            row["folded"] = "" if folded == row["content"] else folded
        return Block(every, token)

    def _stored(self, connection: Connection, now: int) -> Stored:
        return Stored(self._sessions, now - KNOWN_SECONDS, leased(connection, now))


def token_of(post: Post, *, now: int) -> str:
    """Return what the block of a post is known by: its key and its body, as hashes, and the day.

    The servers may remember it for longer than the answer is remembered, after which the same post is a new
    one. So that not all keys are forgotten at midnight, days begin at another moment for each of them.
    """
    key = post.key
    if key is None:
        return secrets.token_hex(16)
    day = (now + int(key.key_hash[:8], 16)) // idempotency.REMEMBERED
    return f"{key.key_hash} {key.body_hash} {day}"


@dataclass(frozen=True, slots=True)
class Stored:
    """The rows that are stored already.

    Ids of seconds from `recent` on, in the slices of processes with a number that is `leased`, may be given
    out just now.
    """

    sessions: Sessions
    recent: int = ids.MAX_SECOND
    leased: frozenset[int] = frozenset()

    def taken(self, row_ids: Iterable[int]) -> dict[int, Facts]:
        """Return what is known of rows by their ids. Raises Conflict for free ones that may be given out."""
        found: dict[int, Facts] = {}
        for some in chunks(row_ids):
            form = OneOf.fitting(some)
            values = form.values("id", some) | _seconds(some[0], some[-1])
            rows = self.sessions.read(partial(_by_ids, values=values, form=form))
            found |= {row_id: tuple(facts) for row_id, *facts in rows}
        if any(self._may_be_given(row_id) for row_id in {*row_ids} - found.keys()):
            raise Conflict(
                "rows of the last ten minutes have ids that may be given out just now; import them again in "
                "ten minutes"
            )
        return found

    def _may_be_given(self, row_id: int) -> bool:
        return ids.second_of(row_id) >= self.recent and process_of_id(row_id) in self.leased

    def of_second(self, second: int) -> Counter[Facts]:
        """Count what the rows of a second say."""
        values = {"low": second, "high": second}
        return Counter(map(tuple, self.sessions.read(partial(_of_second, values=values))))


def _seconds(low: int, high: int) -> dict[str, int]:
    return {"low": ids.second_of(low), "high": ids.second_of(high)}


_INSIDE = (records.c.created_at >= bindparam("low"), records.c.created_at <= bindparam("high"))


@prepared
def _by_ids(form: OneOf) -> Executable:
    return select(records.c.id, *_facts()).where(*_INSIDE, form(records.c.id, "id"))


@prepared
def _of_second() -> Executable:
    return select(*_facts()).where(*_INSIDE)


def _facts() -> list[Any]:
    return [*(records.c[name] for name in TOLD_APART), records.c.content]

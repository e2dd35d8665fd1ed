"""What clients know, outside the service: what they sent, what was acknowledged, when it was down."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Stored(NamedTuple):
    """An event as it was sent, and as it is found in the database."""

    request_id: str
    type: int
    created_at: int
    username: str
    model_name: str
    quota: int
    content: str


@dataclass(eq=False, slots=True)
class Batch:
    """Events sent together under one Idempotency-Key, again and again; a purge takes those that `may_go`.

    Times are those of the monotonic clock.
    """

    key: str
    body: list[dict[str, Any]]
    may_go: bool
    attempts: int = 0
    acknowledged: float | None = None

    def rows(self) -> list[Stored]:
        """Return the rows that the events make."""
        return [Stored(**event) for event in self.body]


@dataclass(eq=False, slots=True)
class Outage:
    """A time in which requests may fail; where it is `announced`, only those may that began in it."""

    began: float
    announced: bool
    ended: float = math.inf


@dataclass
class Ledger:
    """What all clients of a service note. Appending to a list is all that they do at once."""

    batches: list[Batch] = field(default_factory=list)
    #: When each purge began, and when it was acknowledged.
    purges: list[tuple[float, float]] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    #: Answers that no client should ever have seen.
    unexpected: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def outage(self, *, announced: bool = False, after: float = 0.0) -> Iterator[None]:
        """Let requests fail during the block, and for so many seconds `after` it."""
        outage = Outage(time.monotonic(), announced)
        self.outages.append(outage)
        yield
        outage.ended = time.monotonic() + after

    def note_failure(self, what: str, *, connected: float, began: float) -> None:
        """Note a request that was not answered, or with 503, and whether that may have been."""
        now = time.monotonic()
        for outage in self.outages:
            affected = began if outage.announced else now
            if outage.began <= affected and connected <= outage.ended:
                return
        self.unexpected.append(f"{what}, while nothing was down")

    def faults(self, rows: Sequence[Stored], *, looked: float) -> dict[str, list[Any]]:
        """Return what is wrong with the rows that were there after a moment, by kinds that have any."""
        found, sent = Counter(row.request_id for row in rows), self.sent()
        there = set(rows)
        known = [batch for batch in self.batches if (batch.acknowledged or math.inf) < looked]
        return {
            kind: faults
            for kind, faults in {
                "lost": [
                    row for batch in known if not batch.may_go for row in batch.rows() if row not in there
                ],
                "twice": [name for name, times in found.items() if times > 1],
                "never sent": [row for row in rows if row not in sent],
                "half a batch": [
                    batch.key for batch in self.batches if not batch.may_go and _is_half(batch, there)
                ],
                "back after a purge": [row for row in self._gone(known, looked) if row in there],
                "unexpected answers": self.unexpected,
            }.items()
            if faults
        }

    def sent(self) -> set[Stored]:
        return {row for batch in list(self.batches) for row in batch.rows()}

    def _gone(self, known: Sequence[Batch], looked: float) -> Iterator[Stored]:
        """Yield what was acknowledged before a purge began that was acknowledged before a moment."""
        last = max((began for began, ended in list(self.purges) if ended < looked), default=-math.inf)
        for batch in known:
            if batch.may_go and batch.acknowledged is not None and batch.acknowledged < last:
                yield from batch.rows()

    def acknowledged_events(self) -> int:
        return sum(len(batch.body) for batch in self.batches if batch.acknowledged is not None)

    def figures(self) -> dict[str, int]:
        """Return how much was done, for people."""
        batches = list(self.batches)
        return {
            "events_acknowledged": self.acknowledged_events(),
            "batches": len(batches),
            "batches_sent_again": sum(batch.attempts > 1 for batch in batches),
            "batches_given_up": sum(batch.acknowledged is None for batch in batches),
            "purges": len(self.purges),
            **self.answers,
        }


def _is_half(batch: Batch, there: set[Stored]) -> bool:
    present = sum(row in there for row in batch.rows())
    return 0 < present < len(batch.body)

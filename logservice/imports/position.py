"""How far the log of a gateway was read, how it is known again, and which of its rows may come late.

A gateway gives out an id when a call ends and commits the row a little later, so a row may become visible
after others with higher ids. Ids that are missing among recent rows are therefore looked for again for a
while.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, NamedTuple

from ..sources.gateways import GatewayRow

#: How long, in seconds, a missing id is looked for again.
LATE = 600
#: Ids are missed where the next row is as young as that, or among so many of the last.
RECENT_IDS = 10_000
#: More missing spans of ids than this are not kept; the oldest are given up first.
MOST_GAPS = 2_000
MOST_WITNESSES = 64


class Gap(NamedTuple):
    """Ids from `low` to `high`, both inclusive, that were missing at a time in epoch seconds."""

    low: int
    high: int
    since: float


class Witness(NamedTuple):
    """A row that was imported, by which the log is known again."""

    id: int
    digest: str


@dataclass(frozen=True, slots=True)
class Position:
    """The highest id that was read, some of the rows up to it, and the gaps between them."""

    last: int = 0
    witnesses: tuple[Witness, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Position:
        """Return the position that `state` gave."""
        witnesses = tuple(Witness(*witness) for witness in state["witnesses"])
        return cls(state["last"], witnesses, tuple(Gap(*gap) for gap in state["gaps"]))

    def state(self) -> dict[str, Any]:
        """Return this as plain values."""
        return {
            "last": self.last,
            "witnesses": [list(witness) for witness in self.witnesses],
            "gaps": [list(gap) for gap in self.gaps],
        }

    def beyond(self, rows: Sequence[GatewayRow], *, newest: GatewayRow, now: float) -> Position:
        """Return the position after the next rows in order of their ids; `newest` ends the log."""
        gaps, last = list(self.gaps), self.last
        for row in rows:
            if row.id > last + 1 and _is_recent(row, newest):
                gaps.append(Gap(last + 1, row.id - 1, now))
            last = row.id
        witnesses = (*self.witnesses, Witness(last, digest(rows[-1])))
        return Position(last, _thinned(witnesses), tuple(gaps[-MOST_GAPS:]))

    def up_to(self, end: int) -> Position:
        """Return the position in a log that ends with an id: an earlier one where that is lower."""
        if end >= self.last:
            return self
        witnesses = tuple(witness for witness in self.witnesses if witness.id <= end)
        return Position(end, witnesses, tuple(gap for gap in self.gaps if gap.high < end))

    def without(self, found: Iterable[int], *, now: float) -> Position:
        """Return the position once late rows were found; gaps that were looked at for long are given up."""
        gaps = self.gaps
        for row_id in sorted(found):
            gaps = tuple(part for gap in gaps for part in _around(gap, row_id))
        return replace(self, gaps=tuple(gap for gap in gaps if gap.since > now - LATE))


def digest(row: GatewayRow) -> str:
    """Return what tells a row from others of the same id: what never changes and every version has."""
    facts = (row.created_at, row.user_id, row.model_name or "", row.quota or 0, row.content or "")
    return blake2b("\0".join(map(str, facts)).encode(), digest_size=8).hexdigest()


def _is_recent(row: GatewayRow, newest: GatewayRow) -> bool:
    """Whether a row stands near the end of the log, by its time or by its place: a time may be wrong."""
    if row.id > newest.id - RECENT_IDS:
        return True
    times = row.created_at, newest.created_at
    return all(isinstance(time, int | float) for time in times) and times[0] >= times[1] - LATE


def _thinned(witnesses: tuple[Witness, ...]) -> tuple[Witness, ...]:
    """Leave every second witness out when they become too many, but not the last."""
    if len(witnesses) <= MOST_WITNESSES:
        return witnesses
    return (*witnesses[:-1:2], witnesses[-1])


def _around(gap: Gap, row_id: int) -> Iterable[Gap]:
    if not gap.low <= row_id <= gap.high:
        return [gap]
    parts = [Gap(gap.low, row_id - 1, gap.since), Gap(row_id + 1, gap.high, gap.since)]
    return [part for part in parts if part.low <= part.high]

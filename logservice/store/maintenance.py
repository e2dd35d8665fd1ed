"""Maintenance: rows that were kept for long enough go, their usage stays, and their space comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from . import records, size_cap
from .holding import Holding
from .log_types import LogType
from .policy import Rule
from .retention import Purge
from .size_cap import Excess
from .space import give_back
from .store import LogStore


@dataclass(frozen=True, slots=True)
class Due:
    """What has to go by a rule, or because the log is too large: rows, and about how many bytes they take."""

    rule: Rule
    purge: Purge
    rows: int
    bytes: int
    by_size: bool = False


@dataclass(slots=True)
class Outcome:
    """What a maintenance did: rows deleted by type and reason, and bytes that the file system got back."""

    by_age: Counter[str] = field(default_factory=Counter)
    by_size: Counter[str] = field(default_factory=Counter)
    bytes_given_back: int = 0

    @property
    def rows(self) -> int:
        """How many rows were deleted."""
        return self.by_age.total() + self.by_size.total()


class Maintenance:
    """Applies rules to a log. `keep_usage` leaves the usage of purged rows in the statistics.

    While the log takes more than `cap` bytes, the oldest rows of types that have a rule go, whatever it says.
    """

    def __init__(
        self, store: LogStore, rules: Sequence[Rule], *, keep_usage: bool = True, cap: int | None = None
    ) -> None:
        self._store = store
        self._rules = rules
        self._keep_usage = keep_usage
        self._cap = cap
        #: What the log still took beyond its cap when no more rows could go.
        self.excess: Excess | None = None
        #: What the last run did so far.
        self.outcome = Outcome()

    def due(self) -> list[Due]:
        """Return what would go now by each rule; the bytes are a share of what the whole log takes."""
        total, size = self._store.count_all(), self._store.size()
        found = []
        for rule in self._rules:
            purge = rule.purge(self._store.clock(), keep_usage=self._keep_usage)
            rows = self._store.to_purge(purge)
            found.append(Due(rule, purge, rows, rows * size // total if total else 0))
        return [*found, *self._due_by_size(found, total, size)]

    def _due_by_size(self, found: Sequence[Due], total: int, size: int) -> list[Due]:
        """Return what would go besides, because the log is too large even then."""
        if self._cap is None:
            return []
        gone, freed = sum(due.rows for due in found), sum(due.bytes for due in found)
        excess = Excess(self._cap, size - freed, total - gone)
        if not excess.is_over:
            return []
        edges = {due.rule.log_type: due.purge.before for due in found}
        step = size_cap.oldest(self._store, edges, excess.rows_too_many)
        if step is None:
            return []
        return [due for due in (self._besides(one, step.before, size / total) for one in found) if due.rows]

    def _besides(self, due: Due, before: int, width: float) -> Due:
        """Return what goes up to `before` beyond what a rule takes; a row takes `width` bytes."""
        purge = replace(due.purge, before=max(before, due.purge.before))
        rows = self._store.to_purge(purge) - due.rows
        return Due(due.rule, purge, rows, int(rows * width), by_size=True)

    def run(self) -> Iterator[int]:
        """Purge what is due and give the space back, yielding the number of rows of each batch.

        What was done is noted as one system row. Raises Conflict while another maintenance or purge is under
        way.
        """
        self.outcome = outcome = Outcome()
        with Holding(self._store, "maintenance") as holding:
            before = self._store.status()["database_bytes"]
            for rule in self._rules:
                purge = rule.purge(self._store.clock(), keep_usage=self._keep_usage)
                yield from self._counted(purge, rule, outcome.by_age, holding)
            yield from self._shrink(outcome.by_size, holding)
            give_back(self._store, between=holding.renew)
            outcome.bytes_given_back = max(before - self._store.status()["database_bytes"], 0)
            if outcome.rows:
                self._note(outcome)

    def _counted(self, purge: Purge, rule: Rule, purged: Counter[str], holding: Holding) -> Iterator[int]:
        """Carry out a purge, counting its rows by the name of their type."""
        for rows in self._store.purge(purge):
            purged[rule.name] += rows
            holding.renew()
            yield rows

    def _shrink(self, purged: Counter[str], holding: Holding) -> Iterator[int]:
        """Purge the oldest rows, step by step, while the log is larger than it may be."""
        self.excess = None
        if self._cap is None:
            return
        types = [rule.log_type for rule in self._rules]
        excess = size_cap.measure(self._store, self._cap)
        if not excess.is_over:
            return
        while excess.is_over_goal and (step := size_cap.next_step(self._store, types, excess)):
            before = purged.total()
            for rule in self._rules:
                purge = Purge(step.before, rule.log_type, self._keep_usage)
                yield from self._counted(purge, rule, purged, holding)
            if purged.total() == before:
                # The buckets count rows that are not there: to go on would have no end.
                break
            excess = size_cap.measure(self._store, self._cap)
        self.excess = excess if excess.is_over else None

    def _note(self, outcome: Outcome) -> None:
        reasons = {"retention": outcome.by_age, "size cap": outcome.by_size}
        said = [
            f"{reason}: deleted {_counts(rows)}" for reason, rows in reasons.items() if any(rows.values())
        ]
        usage = "kept" if self._keep_usage else "dropped"
        event = {
            "type": int(LogType.SYSTEM),
            "content": f"{'; '.join(said)}; their usage was {usage}",
            "other": {
                "deleted": outcome.by_age,
                "deleted_by_size": outcome.by_size,
                "usage": usage,
                "bytes_given_back": outcome.bytes_given_back,
            },
        }
        self._store.record([records.from_mapping(event, now=self._store.clock())])


def _counts(purged: Mapping[str, int]) -> str:
    noun = "row" if sum(purged.values()) == 1 else "rows"
    return ", ".join(f"{rows:,} {name}" for name, rows in purged.items() if rows) + f" {noun}"

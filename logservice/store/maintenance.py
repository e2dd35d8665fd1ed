"""Maintenance: rows that were kept for long enough go, their usage stays, and their space comes back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from ..errors import Unavailable
from . import marks, purging, records
from .log_types import LogType
from .policy import Rule
from .retention import Purge
from .store import LogStore
from .writer import Claim

log = logging.getLogger("logservice")

_NAME = "maintenance"
_CLAIM = Claim(_NAME)
#: Pages that are given back at once: about ten milliseconds of work.
_PAGES = 1_000


@dataclass(frozen=True, slots=True)
class Due:
    """What a rule has to purge: rows, and about how many bytes they take."""

    rule: Rule
    purge: Purge
    rows: int
    bytes: int


class Maintenance:
    """Applies rules to a log. `keep_usage` leaves the usage of purged rows in the statistics."""

    def __init__(self, store: LogStore, rules: Sequence[Rule], *, keep_usage: bool = True) -> None:
        self._store = store
        self._rules = rules
        self._keep_usage = keep_usage
        self._owner = marks.new_owner()
        self._renewed = 0.0

    def due(self) -> list[Due]:
        """Return what each rule would purge now; the bytes are a share of what the whole log takes."""
        total, size = self._store.count_all(), self._store.status()["database_bytes"]
        found = []
        for rule in self._rules:
            purge = rule.purge(self._store.clock(), keep_usage=self._keep_usage)
            rows = purging.to_go(self._store, purge)
            found.append(Due(rule, purge, rows, rows * size // total if total else 0))
        return found

    def run(self) -> Iterator[int]:
        """Purge what is due and give the space back, yielding the number of rows of each batch.

        What was done is noted as one system row. Raises Conflict while another maintenance or purge is under
        way.
        """
        with self._held():
            before = self._store.status()["database_bytes"]
            purged: dict[str, int] = {}
            for due in self.due():
                for rows in purging.carry_out(self._store, due.purge):
                    purged[due.rule.name] = purged.get(due.rule.name, 0) + rows
                    self._hold()
                    yield rows
            self._give_back()
            if any(purged.values()):
                self._note(purged, before - self._store.status()["database_bytes"])

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._hold()
        try:
            yield
        finally:
            # Whoever runs again has to take the mark again, however soon that is.
            self._renewed = 0.0
            try:
                self._store.write(partial(marks.release, name=_NAME, owner=self._owner), claims=[_CLAIM])
            except Unavailable:
                # What failed before is what the caller has to hear; the mark expires by itself.
                log.warning("the mark of a maintenance could not be taken back")

    def _hold(self) -> None:
        """Take the mark, or renew it before it expires."""
        if time.monotonic() - self._renewed > marks.LIFETIME / 4 or not self._renewed:
            hold = partial(marks.hold, name=_NAME, owner=self._owner, now=int(self._store.clock()))
            self._store.write(hold, claims=[_CLAIM])
            self._renewed = time.monotonic()

    def _give_back(self) -> None:
        """Give pages that are free back to the file system, in steps between which others write."""
        step: Callable[..., bool] = partial(self._store.dialect.give_back, pages=_PAGES)
        while self._store.write(step, is_long=True):
            self._hold()

    def _note(self, purged: dict[str, int], freed: int) -> None:
        counts = ", ".join(f"{rows:,} {name}" for name, rows in purged.items())
        usage = "kept" if self._keep_usage else "dropped"
        event = {
            "type": int(LogType.SYSTEM),
            "content": f"retention: deleted {counts} rows; their usage was {usage}",
            "other": {"deleted": purged, "usage": usage, "bytes_given_back": max(freed, 0)},
        }
        self._store.record([records.from_mapping(event, now=self._store.clock())])

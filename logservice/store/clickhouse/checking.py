"""The self-check of a log on ClickHouse: figures, and what the engine says of its own storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import ids
from ..checking import Check, TypeFigures

if TYPE_CHECKING:
    from .store import ClickHouseStore


class RowsCheck(Check):
    """A check where there are no sums beside the rows that could differ from them. It changes nothing."""

    _store: ClickHouseStore

    def run(self) -> Iterator[int]:
        """Compare nothing; where the check is `full` the engine is asked whether its files are sound."""
        if self.report.full and self.report.is_current:
            self.report.damage += self._store.damage()
        return iter(())

    def _look(self) -> None:
        found, store = self.report, self._store
        found.space = store.space()
        types = store.types()
        found.rows = sum(rows for _, rows, _ in types)
        ends = store.ends()
        if ends is not None:
            found.oldest, found.newest = ids.second_of(ends.low), ids.second_of(ends.high)
        found.types = [
            TypeFigures(kind, rows, rows * found.space.database // found.rows) for kind, rows, _ in types
        ]

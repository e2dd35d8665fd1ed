"""The self-check of a log on ClickHouse: figures, and what the engine says of its own storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import ids
from ..checking import Report, TypeFigures, standing

if TYPE_CHECKING:
    from .store import ClickHouseStore


class RowsCheck:
    """A check; there are no sums beside the rows that could differ from them. It changes nothing."""

    def __init__(self, store: ClickHouseStore, *, full: bool = False) -> None:
        self._store = store
        version = store.version()
        self.report = Report(version, standing(version), full)
        self.days: list[int] = []
        if self.report.is_current:
            self._look()

    def run(self) -> Iterator[int]:
        """Compare nothing; where the check is `full` the engine is asked whether its files are sound."""
        if self.report.full and self.report.is_current:
            self.report.damage += self._store.damage()
        return iter(())

    def complete(self) -> Report:
        """Do all of it, and return the report."""
        for _ in self.run():
            pass
        return self.report

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

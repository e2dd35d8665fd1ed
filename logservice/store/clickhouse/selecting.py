"""Which rows a question is about, as conditions on the one table there is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, bindparam, func, literal_column, not_

from .. import filters as filtering
from .. import ids
from ..filters import FilterShape
from ..ids import IdRange, down, up
from ..queries import Query
from ..scope import ScopeShape
from .tables import SUMS, records


def span_of_row(seconds: int) -> ColumnElement[int]:
    """Return the number of the span of so many seconds that a row lies in."""
    return func.intDiv(records.c.created_at, literal_column(str(seconds)), type_=BigInteger)


@dataclass(frozen=True, slots=True)
class Hidden:
    """Rows that count as deleted while that goes on: ids from `low` to before `high`, of a type or all."""

    low: int
    high: int
    type: int | None = None

    def may_hold(self, second: int, kind: int) -> bool:
        """Whether a row of a second and of a type could be hidden, whatever its id."""
        return (
            self.low < ids.first_id(second + 1)
            and ids.first_id(second) < self.high
            and self.type in (None, kind)
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """What the statements for some rows look like, whatever the values.

    `bounded` where there is a range, `by_id` where it begins or ends within a second; `unit` are the seconds
    of the spans whose sums answer, 0 where rows do; `hides` where some rows are hidden, `hides_type` where
    these are of one type.
    """

    scope: ScopeShape
    filters: FilterShape
    bounded: bool
    by_id: bool
    unit: int
    hides: bool
    hides_type: bool

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what rows must satisfy, their range among it."""
        second, row_id = records.c.created_at, records.c.id
        found: list[ColumnElement[bool]] = []
        if not self.bounded:
            # A condition that is always true would have the engine read what it knows without.
            pass
        elif self.unit:
            # As the engine has it in its own sums, or it would not read them.
            span = span_of_row(self.unit)
            found = [span >= bindparam("low_span"), span < bindparam("high_span")]
        else:
            found = [second >= bindparam("low_second"), second < bindparam("high_second")]
        if self.by_id:
            found += [row_id >= bindparam("low_id"), row_id < bindparam("high_id")]
        if self.hides:
            hidden = (row_id >= bindparam("hidden_low")) & (row_id < bindparam("hidden_high"))
            if self.hides_type:
                hidden &= records.c.type == bindparam("hidden_type")
            found.append(not_(hidden))
        return [*found, *self.scope.conditions(records), *filtering.conditions(self.filters, records)]


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of a query, less those that are hidden."""

    query: Query
    hidden: Hidden | None = None
    unit: int = 0

    @property
    def range(self) -> IdRange:
        """The ids that the rows lie between."""
        return self.query.range

    @property
    def shape(self) -> Shape:
        """What statements for these rows are built from."""
        low, high = self.range.low, self.range.high
        by_id = not self.unit and (low % ids.SEQUENCES != 0 or high % ids.SEQUENCES != 0)
        hides = self.hidden is not None
        hides_type = self.hidden is not None and self.hidden.type is not None
        bounded = low > 0 or high < ids.OPEN_END
        asked = self.query.shape
        return Shape(asked.scope, asked.filters, bounded, by_id, self.unit, hides, hides_type)

    @property
    def values(self) -> dict[str, Any]:
        """What they are run with."""
        low, high = self.range.low, self.range.high
        found = {
            **self.query.values,
            "low_second": ids.second_of(low),
            "high_second": ids.second_of(high - 1) + 1,
            "low_span": ids.second_of(low) // (self.unit or 1),
            "high_span": ids.second_of(high) // (self.unit or 1),
            "low_id": low,
            "high_id": high,
        }
        if self.hidden is not None:
            found |= {
                "hidden_low": self.hidden.low,
                "hidden_high": self.hidden.high,
                "hidden_type": self.hidden.type,
            }
        return found

    def parts(self, dimensions: Iterable[str] = (), *, finest: int = 0) -> list[Selection]:
        """Return the rows in parts, oldest first: one of whole spans, and what is left at both ends.

        There is only one part where no sums tell what is asked for: rows by other `dimensions` than they
        have, or filtered by others, or some of them hidden. `finest` is what their spans have to divide, in
        seconds.
        """
        if not self.range:
            return []
        unit = 0 if self.hidden is not None else self._unit({*dimensions}, finest)
        width = ids.first_id(unit or 1)
        low, high = up(self.range.low, width), down(self.range.high, width)
        if not unit or low >= high:
            return [self]
        inner = replace(self.within(IdRange(low, high)), unit=unit)
        outer = (self.within(IdRange(self.range.low, low)), self.within(IdRange(high, self.range.high)))
        return [part for part in (outer[0], inner, outer[1]) if part.range]

    def _unit(self, names: set[str], finest: int) -> int:
        """Return the seconds of the spans whose sums tell rows apart by some dimensions, 0 if none do."""
        names |= {entry.column for entry in self.query.filters.entries}
        names |= set() if self.query.scope.user_id is None else {"user_id"}
        names |= set() if self.query.scope.token_ids is None else {"token_id"}
        fitting = (sums for sums in SUMS if names <= {*sums.dimensions} and finest % sums.seconds == 0)
        return next((sums.seconds for sums in fitting), 0)

    def within(self, span: IdRange) -> Selection:
        """Return those of the rows that lie in a range."""
        return replace(self, query=replace(self.query, range=self.range.cut(span.low, span.high)))

    def anywhere_in(self, span: IdRange) -> Selection:
        """Return the rows of a range, whatever range these ones lie in."""
        return replace(self, query=replace(self.query, range=span))

    def also(self, **filters: Any) -> Selection:
        """Return those of the rows that some more filters let pass."""
        return replace(self, query=replace(self.query, filters=self.query.filters.also(**filters)))

"""Usage by groups, added up from the rows by the server, and from what the metadata kept of purged rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Executable, bindparam, func, literal_column, or_, select

from .. import ids, intervals, stats
from ..ids import IdRange
from ..intervals import Step
from ..prepared import Reader, prepared
from ..usage import FIGURES, SIZES, Grouping, Usage, too_many
from .pages import bucket
from .selecting import Selection, Shape
from .sums import by_type
from .tables import records

#: More groups than any answer has.
MOST = 1_000_000

#: The first second of an interval, 0 without intervals, and the dimensions.
Key = tuple[Any, ...]


@dataclass(slots=True)
class Groups:
    """Groups with their figures in the order of `usage.FIGURES`.

    `number` is that of all groups where those that are there are the largest, else None.
    """

    grouping: Grouping
    figures: dict[Key, list[int]] = field(default_factory=dict)
    number: int | None = None

    def add(self, key: Key, figures: Sequence[int]) -> None:
        """Add figures to those of a group."""
        known = self.figures.get(key)
        self.figures[key] = (
            list(figures) if known is None else [one + more for one, more in zip(known, figures, strict=True)]
        )

    def add_usage(self, other: Usage) -> None:
        """Add the groups of an answer that was given about the same question."""
        for group in other.groups:
            key = (group.get("start", 0), *(group[name] for name in self.grouping.by))
            self.add(key, [group[name] for name in FIGURES])

    def answer(self, *, is_exact: bool = True) -> Usage:
        """Return the groups that used anything. Raises InvalidValue for too many of them."""
        found = [(key, figures) for key, figures in self.figures.items() if any(figures)]
        number = self.number
        if self.grouping.size is None:
            if len(found) > self.grouping.most:
                raise too_many(self.grouping)
            found.sort(key=lambda group: group[0])
        else:
            number = len(found) if number is None else number
            found = sorted(found, key=self._largest_first)[: self.grouping.most]
        return Usage([self._named(*group) for group in found], is_exact, number)

    def _largest_first(self, group: tuple[Key, list[int]]) -> tuple[Any, ...]:
        key, figures = group
        return -sum(figures[FIGURES.index(name)] for name in SIZES[self.grouping.size or ""]), *key

    def _named(self, key: Key, figures: Sequence[int]) -> dict[str, Any]:
        start, *names = key
        when: dict[str, Any] = {}
        if self.grouping.interval != "none":
            when = {"start": start, "start_time": intervals.moment(start, self.grouping.tz)}
        return {**when, **dict(zip((*self.grouping.by, *FIGURES), (*names, *figures), strict=True))}


def of_rows(
    reader: Reader,
    rows: Selection,
    grouping: Grouping,
    steps: Sequence[Step],
    *,
    asked: int | None,
    is_all: bool,
) -> Groups:
    """Return the usage of some rows; with `is_all` it is not that of more groups than are wanted."""
    found = Groups(grouping)
    if steps:
        # Rows that are new since the intervals were made lie behind them.
        rows = rows.within(IdRange(ids.first_id(steps[0].start), ids.first_id(steps[-1].spans[-1][1])))
    # In nearly all time zones intervals begin at a quarter hour, and in most at an hour.
    finest = 0 if len(steps) == 1 else gcd(*(low for step in steps for low, _ in step.spans))
    parts = rows.parts(grouping.by, finest=finest) if steps else []
    is_all = is_all and len(parts) == 1
    for part in parts:
        _add(found, reader, part, steps, asked=asked, is_all=is_all)
    if is_all and grouping.size is not None and not found.figures:
        found.number = 0
    return found


def _add(
    found: Groups, reader: Reader, rows: Selection, steps: Sequence[Step], *, asked: int | None, is_all: bool
) -> None:
    grouping = found.grouping
    # The first interval may begin before there are seconds to be told from it.
    starts = {max(low, 0): step.start for step in steps for low, _ in step.spans}
    limited = is_all and grouping.size is not None
    limit = grouping.most if limited else grouping.most + 1 if is_all else MOST
    values = rows.values | {"edges": sorted(starts), "asked": asked, "limit": limit}
    in_steps = grouping.interval != "none"
    size = grouping.size if limited else None
    summed = _groups(
        reader, values, rows.shape, grouping.by, in_steps=in_steps, of_all_types=asked is None, size=size
    )
    if len(summed) == MOST:
        raise too_many(grouping)
    for row in summed:
        edge, *names = row[: 1 + len(grouping.by)]
        found.add((starts[edge] if in_steps else 0, *names), row[1 + len(grouping.by) :][: len(FIGURES)])
        found.number = row[-1] if limited else None


@prepared
def _groups(
    shape: Shape, by: tuple[str, ...], *, in_steps: bool, of_all_types: bool, size: str | None
) -> Executable:
    """Select the sums of each group; with a size the largest first, each with the number of all."""
    edge: ColumnElement[Any] = literal_column("0")
    if in_steps:
        second = bucket(shape.unit, shape.unit) if shape.unit else records.c.created_at
        edge = func.roundDown(second, bindparam("edges"), type_=BigInteger)
    summed = by_type(shape, edge.label("edge"), *(records.c[name] for name in by))
    keys = [summed.c.edge, *(summed.c[name] for name in by)]
    figures = stats.columns(summed, stats.USAGE, of_all_types=of_all_types)
    found = select(*keys, *figures).group_by(*keys)
    found = found.limit(bindparam("limit", type_=BigInteger))
    if size is None:
        return found
    value = sum((figures[FIGURES.index(name)] for name in SIZES[size]), start=literal_column("0"))
    anything = or_(*(figure != literal_column("0") for figure in figures))
    return found.add_columns(func.count().over()).having(anything).order_by(value.desc(), *keys)

"""Usage by intervals of the calendar and by dimensions, exact, without scanning the log.

Each interval is cut into parts as any range is, from coarse to fine. All parts go to the database at once, as
a list of ranges that is joined with the tables that answer: one statement, however many intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import (
    CTE,
    Executable,
    Select,
    and_,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from ..errors import InvalidValue
from . import dialects, filters, ids, intervals, stats
from .buckets import HOURLY, QUARTER, SITE
from .ids import down
from .prepared import Reader, prepared
from .queries import KEPT, RAW, Part, Query, Rung, Shape, kept_beside, parts, with_open_end
from .scope import Scope
from .tables import MEASURES

#: No answer has more groups, unless more are asked for.
MOST_GROUPS = 20_000

#: What groups can be compared by, and the figures that make it up.
SIZES: dict[str, tuple[str, ...]] = {
    "quota": ("quota",),
    "requests": ("requests",),
    "tokens": ("prompt_tokens", "completion_tokens"),
    "errors": ("errors",),
}

UTC = ZoneInfo("UTC")
_QUARTER_IDS = ids.first_id(QUARTER)
FIGURES = tuple(stat.name for stat in stats.USAGE)


@dataclass(frozen=True, slots=True)
class Grouping:
    """What usage is told apart by: dimensions, and intervals of the calendar in a time zone.

    More than `most` groups are refused; with a size of `SIZES` those that are largest by it are returned.
    """

    by: tuple[str, ...] = ()
    interval: str = "none"
    tz: ZoneInfo = UTC
    most: int = MOST_GROUPS
    size: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Groups with their figures, oldest first.

    A group has its dimensions, the stats of `stats.USAGE`, and where there are intervals `start` (epoch
    seconds) and `start_time` (ISO 8601 in the zone). `is_exact` is False where an edge of a range falls
    within a quarter hour of usage without rows, which is then counted where the quarter begins. `number` is
    that of all groups, where only the largest were asked for.
    """

    groups: list[dict[str, Any]]
    is_exact: bool = True
    number: int | None = None


@dataclass(frozen=True, slots=True)
class _Cut:
    """A part of the interval of a number."""

    step: int
    part: Part


def usage(connection: Reader, query: Query, grouping: Grouping, *, asked: int | None) -> Usage:
    """Return the usage of a query by groups.

    `asked` is the type that stats without types of their own follow, whatever the filters say of types; None
    means those of the filters. Raises InvalidValue for too many groups or intervals.
    """
    if asked is not None:
        needed = query.filters.without("type").also(types=stats.types_needed(asked))
        query = replace(query, filters=needed)
    query = _of_owner(connection, with_open_end(connection, query))
    steps = _steps(connection, query, grouping)
    cut = list(_cuts(query, grouping, steps))
    found = _groups(connection, query, grouping, cut, asked=asked) if cut else []
    number = None
    if grouping.size is not None:
        number = found[0][-1] if found else 0
        found = [row[:-1] for row in found]
    return Usage(_named(grouping, steps, found), _is_exact(connection, query, cut), number)


def _of_owner(connection: Reader, query: Query) -> Query:
    """Narrow the usage of a name to the user who alone bore it: rows have no index by name."""
    if not query.scope.is_site or (filters.USERNAME, filters.equal) not in query.filters.shape:
        return query
    parameter = filters.USERNAME.parameter
    [(first, last)] = _owners(connection, {parameter: query.values[parameter]})
    return query if first is None or first != last else replace(query, scope=Scope.user(first))


@prepared
def _owners() -> Executable:
    """Select the lowest and the highest id among the users of some buckets."""
    # The sum keeps planners from trying the users one after the other, by the index of their ids.
    user_id = HOURLY.table.c.user_id + literal_column("0")
    bore = filters.USERNAME.condition(HOURLY.table, filters.equal)
    return select(func.min(user_id), func.max(user_id)).where(bore)


def _steps(connection: Reader, query: Query, grouping: Grouping) -> list[intervals.Step]:
    """Return the intervals that can hold usage of a query; a single one if none are asked for."""
    low, high = ids.second_of(query.range.low), ids.second_of(query.range.high)
    if grouping.interval == "none":
        return [intervals.Step(((low, high),))]
    found = extent(connection)
    if found is None:
        return []
    low, high = max(low, found[0]), min(high, found[1])
    return intervals.steps(grouping.interval, grouping.tz, low, high) if low < high else []


def extent(connection: Reader) -> tuple[int, int] | None:
    """Return the seconds where the first quarter hour that has usage begins, and where the last ends."""
    [(oldest, newest)] = _extent(connection, {})
    return None if oldest is None else (oldest, newest + QUARTER)


@prepared
def _extent() -> Executable:
    """Select the starts of the first and the last quarter hour that has usage."""
    quarters = SITE.table.c.span == literal_column(str(QUARTER))
    edges = (func.min, func.max)
    return select(*(select(edge(SITE.table.c.bucket)).where(quarters).scalar_subquery() for edge in edges))


def _cuts(query: Query, grouping: Grouping, steps: Sequence[intervals.Step]) -> Iterator[_Cut]:
    ladder = query.ladder_by(grouping.by)
    if grouping.interval != "none":
        longest = intervals.length(grouping.interval)
        ladder = tuple(rung for rung in ladder if rung.seconds <= longest)
    for number, step in enumerate(steps):
        for low, high in step.spans:
            span = query.range.cut(ids.first_id(low), ids.first_id(high))
            cut = parts(span, ladder)
            cut += kept_beside(cut) if query.in_buckets else []
            yield from (_Cut(number, part) for part in cut)


def _groups(
    connection: Reader,
    query: Query,
    grouping: Grouping,
    cut: Sequence[_Cut],
    *,
    asked: int | None,
) -> list[tuple[Any, ...]]:
    """Have the database add up: rows of the number of the interval, the dimensions and the stats."""
    values = query.values | _ranges(cut)
    if asked is not None:
        values["asked"] = asked
    rows = _sums(
        connection,
        values,
        query.shape,
        _rungs(cut),
        grouping.by,
        of_all_types=asked is None,
        size=grouping.size,
        limit=grouping.most + (grouping.size is None),
    )
    if len(rows) > grouping.most:
        raise too_many(grouping)
    return rows


def too_many(grouping: Grouping) -> InvalidValue:
    """Return the error for more groups than an answer may have."""
    return InvalidValue(
        f"group_by: makes more than {grouping.most:,} groups; narrow the range, or take a longer interval"
    )


def _rungs(cut: Iterable[_Cut]) -> tuple[Rung, ...]:
    """Return the tables that answer for some parts, each once."""
    return tuple(dict.fromkeys(found.part.rung for found in cut))


def _ranges(cut: Sequence[_Cut]) -> dict[str, Any]:
    """Return parts as the list that `dialects.ranges` reads."""
    places = {rung: place for place, rung in enumerate(_rungs(cut))}
    listed = [
        (
            places[found.part.rung],
            found.step,
            *found.part.rung.bounds("", found.part.low, found.part.high).values(),
        )
        for found in cut
    ]
    return {"ranges": orjson.dumps(listed).decode()}


@prepared
def _sums(
    shape: Shape,
    rungs: tuple[Rung, ...],
    by: tuple[str, ...],
    *,
    of_all_types: bool,
    size: str | None,
    limit: int,
) -> Executable:
    """Select the sums of each group in order; with a size the largest first, each with the number of all."""
    ranges = dialects.ranges("ranges")
    names = tuple(dict.fromkeys(("type", *by)))
    selects = [_rows_of(shape, rung, place, ranges, names) for place, rung in enumerate(rungs)]
    rows = (selects[0] if len(selects) == 1 else union_all(*selects)).subquery("found")
    keys = [rows.c.step, *(rows.c[name] for name in by)]
    figures = stats.columns(rows, stats.USAGE, of_all_types=of_all_types)
    found = select(*keys, *figures).group_by(*keys).limit(limit)
    if size is None:
        return dialects.packed(found.order_by(*keys))
    value = sum((figures[FIGURES.index(name)] for name in SIZES[size]), start=literal_column("0"))
    anything = or_(*(figure != literal_column("0") for figure in figures))
    found = found.add_columns(func.count().over()).having(anything)
    return dialects.packed(found.order_by(value.desc(), *keys))


def _rows_of(
    shape: Shape, rung: Rung, place: int, ranges: CTE, names: tuple[str, ...]
) -> Select[*tuple[Any, ...]]:
    """Select what a table adds: each row with the number of the interval it lies in."""
    table = rung.table
    inside = and_(*shape.along(rung, ranges))
    measures = [stats.measure(table, name).label(name) for name in MEASURES]
    columns = [ranges.c.step, *(table.c[name] for name in names), *measures]
    mine = ranges.c.place == literal_column(str(place))
    return select(*columns).select_from(dialects.InOrder(ranges, table, inside)).where(mine)


def _named(
    grouping: Grouping, steps: Sequence[intervals.Step], rows: Sequence[tuple[Any, ...]]
) -> list[dict[str, Any]]:
    """Name the values of groups, less those of which nothing is left: purged rows may have cost nothing."""
    first, names = 1 + len(grouping.by), (*grouping.by, *FIGURES)
    rows = [row for row in rows if any(row[first:])]
    if grouping.interval == "none":
        return [dict(zip(names, row[1:], strict=True)) for row in rows]
    names = ("start", "start_time", *names)
    starts = [steps[row[0]].start for row in rows]
    moments = {start: intervals.moment(start, grouping.tz) for start in set(starts)}
    return [
        dict(zip(names, (start, moments[start], *row[1:]), strict=True))
        for start, row in zip(starts, rows, strict=True)
    ]


def _is_exact(connection: Reader, query: Query, cut: Iterable[_Cut]) -> bool:
    """Whether no usage without rows stands in a quarter hour that an edge of a part divides."""
    edges = {edge for found in cut if found.part.rung == RAW for edge in (found.part.low, found.part.high)}
    quarters = sorted({down(edge, _QUARTER_IDS) for edge in edges if edge % _QUARTER_IDS})
    if not quarters or not query.in_buckets:
        return True
    divided = [_Cut(0, Part(KEPT, quarter, quarter + _QUARTER_IDS)) for quarter in quarters]
    return not _kept(connection, query.values | _ranges(divided), query.shape)


@prepared
def _kept(shape: Shape) -> Executable:
    ranges = dialects.ranges("ranges")
    inside = and_(*shape.along(KEPT, ranges))
    return select(ranges.c.step).select_from(dialects.InOrder(ranges, KEPT.table, inside)).limit(1)

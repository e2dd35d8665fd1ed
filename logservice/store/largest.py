"""Usage of the groups that used most, and of all others together: what a chart or a short list shows.

The longest buckets that know the groups tell which ones these are; then no more than theirs is read, and the
sum of all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from .filters import ONE_OF
from .queries import Query
from .usage import FIGURES, Grouping, Usage

Group = dict[str, Any]
#: Gives the usage of a query by groups.
Ask = Callable[[Query, Grouping], Usage]

#: No answer has more groups: a year of hours of eleven.
MOST_SUMS = 100_000


@dataclass(frozen=True, slots=True)
class Largest:
    """How many groups are wanted, and by which of `usage.SIZES` they are compared over the whole range."""

    number: int
    size: str


def largest(ask: Ask, query: Query, grouping: Grouping, wanted: Largest) -> Usage:
    """Return the usage of the largest groups, and of all others as one whose dimension is None.

    `ask` gives the usage of a query by groups. Groups are told apart by one dimension. In each interval the
    largest of the whole range comes first.
    """
    [name] = grouping.by
    whole = replace(grouping, interval="none", most=wanted.number, size=wanted.size)
    found = ask(query, whole)
    every = ask(query, replace(grouping, by=()))
    groups = found.groups
    if grouping.interval != "none" and groups:
        places = {group[name]: place for place, group in enumerate(groups)}
        of_these = query.filters.also(**{ONE_OF[name].name: tuple(sorted(places))})
        in_steps = replace(grouping, most=MOST_SUMS)
        groups = ask(replace(query, filters=of_these), in_steps).groups
        groups.sort(key=lambda group: places[group[name]])
    is_exact = found.is_exact and every.is_exact
    return replace(found, groups=_with_others(name, groups, every.groups), is_exact=is_exact)


def _with_others(name: str, groups: Iterable[Group], every: Iterable[Group]) -> list[Group]:
    """Return the groups of each interval, the oldest first, then what is left of the sum of all."""
    by_start: dict[int, list[Group]] = defaultdict(list)
    for group in groups:
        by_start[group.get("start", 0)].append(group)
    others = {total.get("start", 0): total for total in every}
    found: list[Group] = []
    for start in sorted({*by_start, *others}):
        here = by_start[start]
        found += here
        total = others.get(start) or {**here[0], **dict.fromkeys(FIGURES, 0)}
        left = {figure: total[figure] - sum(group[figure] for group in here) for figure in FIGURES}
        if any(left.values()):
            found.append({**total, name: None, **left})
    return found

"""The filters: one list, used by every endpoint, for rows and for buckets alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, FromClause, false

from . import dialects
from .tables import DIMENSIONS, SITE_DIMENSIONS

#: No name is longer, so a pattern with more letters than this fits none.
LONGEST_NAME = 128

Condition = Callable[[ColumnElement[Any], Any], ColumnElement[bool]]


def equal(column: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    """The column has exactly this value."""
    return cast(ColumnElement[bool], column == value)


def equal_or_like(column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """The column has exactly this value, or fits it where `%` makes it a pattern."""
    if "%" not in value:
        return equal(column, value)
    if len(value.replace("%", "")) > LONGEST_NAME:
        return false()
    return dialects.matches(column, re.sub("%+", "%", value))


def one_of(column: ColumnElement[Any], values: tuple[Any, ...]) -> ColumnElement[bool]:
    """The column has one of these values."""
    return column.in_(values)


@dataclass(frozen=True, slots=True)
class Filter:
    """A query parameter, the column it looks at, and how the two are compared."""

    name: str
    column: str
    condition: Condition = equal

    @property
    def is_dimension(self) -> bool:
        """Whether the hourly buckets know this column; if not, only raw rows can tell."""
        return self.column in DIMENSIONS

    @property
    def is_site_dimension(self) -> bool:
        """Whether the daily buckets know this column too."""
        return self.column in SITE_DIMENSIONS


FILTERS = (
    Filter("type", "type"),
    Filter("types", "type", one_of),
    Filter("user_id", "user_id"),
    Filter("username", "username", equal_or_like),
    Filter("token_name", "token_name", equal_or_like),
    Filter("model_name", "model_name", equal_or_like),
    Filter("model_names", "model_name", one_of),
    Filter("channel", "channel_id"),
    Filter("group", "group"),
    Filter("request_id", "request_id"),
    Filter("ip", "ip"),
)
_BY_NAME = {entry.name: entry for entry in FILTERS}


class Filters(Mapping[str, Any]):
    """The filters of one query: values by name, None meaning absent. Unknown names raise KeyError."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        given = {name: value for name, value in (values or {}).items() if value is not None}
        self._values = {name: given[name] for name in sorted(given)}
        self.entries = tuple(_BY_NAME[name] for name in self._values)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def fit_hourly(self) -> bool:
        """Whether the hourly buckets can answer."""
        return all(entry.is_dimension for entry in self.entries)

    @property
    def fit_daily(self) -> bool:
        """Whether the daily buckets can answer."""
        return all(entry.is_site_dimension for entry in self.entries)

    def without(self, *names: str) -> Filters:
        """Return these filters less the named ones."""
        return Filters({name: value for name, value in self.items() if name not in names})

    def also(self, **values: Any) -> Filters:
        """Return these filters and some more."""
        return Filters({**self, **values})

    def dimensions_only(self) -> Filters:
        """Return those of the filters that the hourly buckets know."""
        return Filters({entry.name: self[entry.name] for entry in self.entries if entry.is_dimension})

    def conditions(self, table: FromClause) -> list[ColumnElement[bool]]:
        """Return what rows of `log_records` or of a bucket table must satisfy."""
        found = [entry.condition(table.c[entry.column], self[entry.name]) for entry in self.entries]
        if self._values.get("request_id"):
            # For the partial index, which only serves queries that repeat its condition.
            found.append(table.c.request_id != "")
        return found

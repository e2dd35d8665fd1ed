"""The filters: one list, used by every endpoint, for rows and for buckets alike.

What a filter looks like in a statement is its form, and depends on the kind of its value only: equal, like a
pattern, one of so many. Statements are built from forms and run with values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, bindparam, false

from . import dialects
from .tables import DIMENSIONS, SITE_DIMENSIONS

#: No name is longer, so a pattern with more letters than this fits none.
LONGEST_NAME = 128

#: Makes the condition on a column; the string is the name of the parameter.
Form = Callable[[ColumnElement[Any], str], ColumnElement[bool]]


def equal(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The column has exactly this value."""
    return column == bindparam(name)


def equal_and_present(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """The same of a text that is not empty: a partial index only serves who repeats its condition."""
    return equal(column, name) & (column != "")


def like(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """The column fits this pattern."""
    return dialects.matches(column, name)


def never(_column: ColumnElement[Any], _name: str) -> ColumnElement[bool]:
    """No column has this value."""
    return false()


# SQLite takes 32,766 parameters, and a statement of very many is slow to read.
_CHUNK = 500


def chunks(values: Iterable[Any], *, falling: bool = False, size: int = _CHUNK) -> Iterator[list[Any]]:
    """Yield values in order, in lists short enough for one IN."""
    ordered = sorted(values, reverse=falling)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


@dataclass(frozen=True, slots=True)
class OneOf:
    """The column has one of so many values, a power of two, so that lists of many lengths share few forms."""

    number: int

    @classmethod
    def fitting(cls, values: Sequence[Any]) -> OneOf:
        """Return the form for some values, at least one."""
        return cls(1 << (len(values) - 1).bit_length())

    def __call__(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        return column.in_([bindparam(f"{name}_{place}") for place in range(self.number)])

    def values(self, name: str, values: Sequence[Any]) -> dict[str, Any]:
        """Return the values by the names of their parameters, the last one repeated to fill up."""
        padded = [*values, *[values[-1]] * (self.number - len(values))]
        return {f"{name}_{place}": value for place, value in enumerate(padded)}


def _exact(_value: Any) -> Form:
    return equal


def _exact_or_like(value: str) -> Form:
    if "%" not in value:
        return equal
    return never if len(value.replace("%", "")) > LONGEST_NAME else like


def _exact_where_present(value: str) -> Form:
    return equal_and_present if value else equal


def _one_of(values: tuple[Any, ...]) -> Form:
    return OneOf.fitting(values) if values else never


@dataclass(frozen=True, slots=True)
class Filter:
    """A query parameter, the column it looks at, and the form it takes for a value."""

    name: str
    column: str
    form: Callable[[Any], Form] = _exact

    @property
    def is_dimension(self) -> bool:
        """Whether the hourly buckets know this column; if not, only raw rows can tell."""
        return self.column in DIMENSIONS

    @property
    def is_site_dimension(self) -> bool:
        """Whether the site's buckets know this column too."""
        return self.column in SITE_DIMENSIONS

    @property
    def parameter(self) -> str:
        """The name of the value in statements; lists have one for each of theirs."""
        return f"filter_{self.name}"

    def condition(self, table: FromClause, form: Form) -> ColumnElement[bool]:
        """Return what rows of `log_records` or of a bucket table must satisfy."""
        return form(table.c[self.column], self.parameter)

    def values(self, value: Any) -> dict[str, Any]:
        """Return a value by the names of its parameters."""
        form = self.form(value)
        if isinstance(form, OneOf):
            return form.values(self.parameter, value)
        return {self.parameter: re.sub("%+", "%", value) if form is like else value}


USERNAME = Filter("username", "username", _exact_or_like)
USER_ID = Filter("user_id", "user_id")
REQUEST_ID = Filter("request_id", "request_id", _exact_where_present)
#: Lists of values, by the dimension they are of: for questions that follow from others.
ONE_OF = {name: Filter(f"some_{name}", name, _one_of) for name in DIMENSIONS}
FILTERS = (
    Filter("type", "type"),
    Filter("types", "type", _one_of),
    USER_ID,
    USERNAME,
    Filter("token_name", "token_name", _exact_or_like),
    Filter("model_name", "model_name", _exact_or_like),
    Filter("model_names", "model_name", _one_of),
    Filter("channel", "channel_id"),
    Filter("group", "group"),
    REQUEST_ID,
    Filter("ip", "ip"),
    Filter("ids", "id", _one_of),
    Filter("content_ids", "content_id", _one_of),
    *ONE_OF.values(),
)
_BY_NAME = {entry.name: entry for entry in FILTERS}

#: The forms of some filters: what their conditions are built from.
FilterShape = tuple[tuple[Filter, Form], ...]


def conditions(shape: FilterShape, table: FromClause) -> list[ColumnElement[bool]]:
    """Return what rows of `log_records` or of a bucket table must satisfy under filters of this shape."""
    return [entry.condition(table, form) for entry, form in shape]


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

    def __repr__(self) -> str:
        return f"Filters({self._values!r})"

    @property
    def columns(self) -> set[str]:
        """The columns they look at."""
        return {entry.column for entry in self.entries}

    @property
    def fit_hourly(self) -> bool:
        """Whether the hourly buckets can answer."""
        return all(entry.is_dimension for entry in self.entries)

    @property
    def shape(self) -> FilterShape:
        """The forms of these filters, their values left out."""
        return tuple((entry, entry.form(self[entry.name])) for entry in self.entries)

    @property
    def values_by_parameter(self) -> dict[str, Any]:
        """The values, by the names of their parameters."""
        return {
            name: value for entry in self.entries for name, value in entry.values(self[entry.name]).items()
        }

    def without(self, *names: str) -> Filters:
        """Return these filters less the named ones."""
        return Filters({name: value for name, value in self.items() if name not in names})

    def also(self, **values: Any) -> Filters:
        """Return these filters and some more."""
        return Filters({**self, **values})

    def dimensions_only(self) -> Filters:
        """Return those of the filters that the hourly buckets know."""
        return Filters({entry.name: self[entry.name] for entry in self.entries if entry.is_dimension})

    def site_dimensions_only(self) -> Filters:
        """Return those of the filters that the site's buckets know."""
        return Filters({entry.name: self[entry.name] for entry in self.entries if entry.is_site_dimension})

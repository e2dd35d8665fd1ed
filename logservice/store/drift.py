"""Drift: buckets that are not the sums of what they stand for, and texts that rows and search miss.

Buckets hang together as a chain: those of an hour and of a quarter are the sums of rows, each longer one is
that of the next shorter. Each link is compared on its own, in the database, so that nothing but what differs
is sent; a range that is compared in one snapshot shows no difference because of others that write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    Integer,
    Select,
    Table,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from . import contents, dialects, ids
from .buckets import HOURLY, LONGER, QUARTER, SITE, Longer, Rollup, between, from_rows, from_shorter
from .dialects import Dialect
from .prepared import prepared
from .retained import MARKS
from .tables import MEASURES, records
from .tables import contents as texts

#: Texts of one range that the search index is asked for.
_TEXTS_ASKED = 5

_LOW, _HIGH = (bindparam(name, type_=BigInteger) for name in ("low", "high"))
_LOW_ID, _HIGH_ID = (bindparam(name, type_=BigInteger) for name in ("low_id", "high_id"))
_ROWS = [records.c.id >= _LOW_ID, records.c.id < _HIGH_ID]
_TEXTS = [texts.c.id >= _LOW_ID, texts.c.id < _HIGH_ID]


@dataclass(frozen=True, slots=True)
class Link:
    """Buckets of a rollup and span, and what they have to be the sums of: rows, or buckets of a shorter span.

    `retained` is one of `retained.MARKS` for usage kept from purged rows.
    """

    rollup: Rollup
    span: int
    made_of: Longer | None = None
    retained: int = 0

    @property
    def table(self) -> Table:
        """Where the buckets stand."""
        return self.rollup.table

    @property
    def can_be_mended(self) -> bool:
        """Whether a rebuild makes them right: of two sums of kept usage nobody knows which is right."""
        return not self.retained or self.made_of is not None


@dataclass(frozen=True, slots=True)
class Drift:
    """A bucket that is not what it should be; None stands for one that is not there, or should not be."""

    link: Link
    bucket: int
    dimensions: Mapping[str, int | str]
    expected: Mapping[str, int] | None
    found: Mapping[str, int] | None


#: What is compared of hours, of days and of weeks.
OF_HOURS = (Link(HOURLY, ids.HOUR), Link(SITE, QUARTER))
_LONGER = [Link(one.rollup, one.span, one, mark) for one in LONGER for mark in (0, *MARKS)]
_KEPT = [Link(SITE, QUARTER, retained=mark) for mark in MARKS]
OF_DAYS = (*_KEPT, *(link for link in _LONGER if link.span < ids.WEEK))
OF_WEEKS = tuple(link for link in _LONGER if link.span == ids.WEEK)


def drifted(connection: Connection, link: Link, low: int, high: int) -> Iterator[Drift]:
    """Yield the buckets from second `low` to before `high` that differ; both lie on edges of the span."""
    for row in _differences(connection, _values(low, high), link):
        keys, sums = row[: -2 * len(MEASURES) - 2], row[-2 * len(MEASURES) - 2 :]
        dimensions = dict(zip(link.rollup.dimensions, keys[1:], strict=True))
        yield Drift(link, keys[0], dimensions, _side(sums[0::2]), _side(sums[1::2]))


def _side(numbers: Sequence[int]) -> dict[str, int] | None:
    """Return the sums of one side, whose first number tells whether there is a bucket."""
    return dict(zip(MEASURES, numbers[1:], strict=True)) if numbers[0] else None


def _values(low: int, high: int) -> dict[str, int]:
    return {"low": low, "high": high, "low_id": ids.first_id(low), "high_id": ids.first_id(high)}


@prepared
def _differences(link: Link) -> Executable:
    """Select the buckets whose sums differ: their key, then each number as expected and as found."""
    names = ["bucket", *link.rollup.dimensions]
    both = union_all(
        _of_side(_expected(link), names, is_expected=True), _of_side(_found(link), names, is_expected=False)
    ).subquery()
    here = both.c.is_expected == literal_column("1")
    numbers = [literal_column("1", BigInteger), *(both.c[name] for name in MEASURES)]
    sides = [[dialects.total(number, where=where) for where in (here, ~here)] for number in numbers]
    # Kept usage of nothing may stand there or not.
    compared = sides[1:] if link.retained else sides
    keys = [both.c[name] for name in names]
    differing = or_(*(expected != found for expected, found in compared))
    return select(*keys, *(one for side in sides for one in side)).group_by(*keys).having(differing)


def _of_side(source: Select[*tuple[Any, ...]], names: Sequence[str], *, is_expected: bool) -> Select[Any]:
    given = source.subquery()
    side = literal_column(str(int(is_expected)), Integer).label("is_expected")
    return select(side, *(given.c[name] for name in names), *(given.c[name] for name in MEASURES))


def _found(link: Link) -> Select[Any]:
    return select(link.table).where(*between(link.table, _LOW, _HIGH, link.span, mark=link.retained))


def _expected(link: Link) -> Select[*tuple[Any, ...]]:
    if link.made_of is not None:
        return _from_shorter(link, link.made_of.source, link.made_of.finer)
    if link.retained:
        # The site's quarters are those of users, tokens and so on.
        return _from_shorter(link, HOURLY, QUARTER)
    return _named(from_rows(link.rollup, link.span).where(*_ROWS))


def _from_shorter(link: Link, source: Rollup, finer: int) -> Select[*tuple[Any, ...]]:
    parts = between(source.table, _LOW, _HIGH, finer, mark=link.retained)
    return _named(from_shorter(link.rollup, link.span, source, mark=link.retained).where(*parts))


def _named(source: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Return a statement that makes buckets, with a name for each of its sums and in no order."""
    columns = list(source.selected_columns)
    keys, sums = columns[: -len(MEASURES)], columns[-len(MEASURES) :]
    named = [column.label(name) for column, name in zip(sums, MEASURES, strict=True)]
    return source.with_only_columns(*keys, *named).order_by(None)


# -- texts -------------------------------------------------------------------------------------------------


def missing_texts(connection: Connection, _dialect: Dialect, low: int, high: int) -> int:
    """Return how many texts rows of some whole hours refer to and that are not there."""
    [(found,)] = _missing(connection, _values(low, high))
    return int(found)


@prepared
def _missing() -> Executable:
    said = select(records.c.content_id.label("id")).where(*_ROWS, records.c.content_id != literal_column("0"))
    there = select(texts.c.id).where(*_TEXTS)
    return select(func.count()).select_from(said.except_(there).subquery())


def unsaid_texts(connection: Connection, _dialect: Dialect, low: int, high: int) -> int:
    """Return how many texts of some whole hours no row says."""
    [(found,)] = _unsaid(connection, _values(low, high))
    return int(found)


@prepared
def _unsaid() -> Executable:
    said = select(records.c.content_id).where(*_ROWS)
    there = select(texts.c.id).where(*_TEXTS)
    return select(func.count()).select_from(there.except_(said).subquery())


def unfindable_texts(connection: Connection, dialect: Dialect, low: int, high: int) -> int:
    """Return how many of the first texts of some hours a search does not find, where it has an own index."""
    index = dialect.search_index
    if index is None:
        return 0
    asked = 0
    for text_id, folded in _first_texts(connection, _values(low, high)):
        terms = dialect.search_terms(folded)
        there = select(index.row_id).where(index.condition, index.row_id == text_id)
        asked += terms is not None and connection.execute(there, {"terms": terms}).first() is None
    return asked


@prepared
def _first_texts() -> Executable:
    found = select(texts.c.id, contents.folded_text).where(*_TEXTS)
    return found.order_by(texts.c.id).limit(literal_column(str(_TEXTS_ASKED)))


# -- how much there is to compare --------------------------------------------------------------------------


def count_rows(connection: Connection, low: int, high: int, *, most: int) -> int:
    """Return how many rows there are from second `low` to before `high`, counting no further than `most`."""
    [(found,)] = _row_count(connection, {**_values(low, high), "most": most})
    return int(found)


@prepared
def _row_count() -> Executable:
    some = select(records.c.id).where(*_ROWS).limit(bindparam("most"))
    return select(func.count()).select_from(some.subquery())

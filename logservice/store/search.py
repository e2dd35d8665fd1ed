"""Search by keyword: a type by its number or name, anything else inside content and model names.

Contents are kept once an hour, so what is searched is small. Few rows are read with their contents and tried
one by one; for many, the contents that hold the keyword are found first, newest first, through the substring
index where the keyword is long enough for it, and then the rows that say them. Model names are few and found
in the buckets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Executable, bindparam, literal_column, select

from . import dialects, ids, log_types, pages, sums
from .contents import folded_text
from .dialects import Dialect, SearchIndex
from .filters import chunks
from .ids import IdRange, down, up
from .pages import Rows
from .prepared import Reader, prepared
from .queries import RAW, Part, Query, Shape, bounds
from .scope import ScopeShape
from .tables import contents, hourly, records, site

#: Up to this many rows a scan is no slower than the index.
FEW_ROWS = 5_000
#: Contents looked at in one go. The newest few mostly belong to enough rows.
CONTENTS_AT_ONCE = 500
_HOUR_IDS = ids.first_id(ids.HOUR)
# What stands for no limit in a statement that has one.
_ALL = 2**53


def search(
    connection: Reader, dialect: Dialect, query: Query, keyword: str, *, fields: Sequence[str], limit: int
) -> Rows:
    """Return the newest `limit` rows that a keyword finds under the filters of the query, newest first."""
    kind = log_types.keyword_type(keyword)
    if kind is not None:
        return _of_type(connection, query, int(kind), fields=fields, limit=limit)
    folded = keyword.casefold()
    dialect.plan_by_values(connection)
    in_content = _in_content(connection, dialect, query, folded, limit=limit)
    in_name = _in_model_name(connection, query, folded, limit=limit)
    found = sorted({*in_content, *in_name}, reverse=True)[:limit]
    return _with_ids(connection, query, found, fields)


def _of_type(connection: Reader, query: Query, kind: int, *, fields: Sequence[str], limit: int) -> Rows:
    if query.filters.get("type", kind) != kind:
        return []
    typed = replace(query, filters=query.filters.also(type=kind))
    return pages.page(connection, typed, fields=fields, offset=0, limit=limit).rows


def _with_ids(connection: Reader, query: Query, found: Sequence[int], fields: Sequence[str]) -> Rows:
    if not found:
        return []
    exactly = replace(query, filters=query.filters.also(ids=tuple(found)))
    return pages.newest(connection, exactly, fields=fields, limit=len(found))


# -- model names -------------------------------------------------------------------------------------------


def _in_model_name(connection: Reader, query: Query, folded: str, *, limit: int) -> list[int]:
    """Return ids of the newest rows whose model name holds the keyword."""
    known = _model_names(connection, query.scope.values, query.scope.shape)
    names = [name for (name,) in known if folded in name.casefold()]
    if not names:
        return []
    named = replace(query, filters=query.filters.also(model_names=tuple(sorted(names))))
    rows = pages.page(connection, named, fields=["id"], offset=0, limit=limit).rows
    return [row["id"] for row in rows]


@prepared
def _model_names(scope: ScopeShape) -> Executable:
    """Select the model names in use: those of the site for a site's query, else those of the scope."""
    table = site if scope == ScopeShape() else hourly
    where = [*scope.conditions(table), table.c.retained == literal_column("0")]
    if table is site:
        where.append(site.c.span == literal_column(str(ids.WEEK)))
    return dialects.packed(select(table.c.model_name).where(*where).distinct())


# -- contents ----------------------------------------------------------------------------------------------


class _Content(NamedTuple):
    """A content that holds the keyword. One that is not shared is said by the row of the same id alone."""

    id: int
    shared: bool

    @property
    def hour(self) -> IdRange:
        """The ids of the hour that all rows saying this lie in."""
        low = down(self.id, _HOUR_IDS)
        return IdRange(low, low + _HOUR_IDS)


def _in_content(connection: Reader, dialect: Dialect, query: Query, folded: str, *, limit: int) -> list[int]:
    """Return ids of the newest rows whose content holds the keyword, newest first."""
    rows = sums.count(connection, replace(query, filters=query.filters.dimensions_only()))
    if not rows:
        return []
    if rows <= FEW_ROWS:
        return _tried_one_by_one(connection, query, folded, limit=limit)
    found: list[int] = []
    # A content may have been said first by a row outside the range.
    hours = IdRange(down(query.range.low, _HOUR_IDS), up(query.range.high, _HOUR_IDS))
    while len(found) < limit and hours:
        holding = _newest_holding(connection, dialect, folded, hours)
        found += _saying(connection, query, holding, limit=limit - len(found))
        more = len(holding) >= CONTENTS_AT_ONCE
        hours = IdRange(hours.low, holding[-1].hour.low if more else hours.low)
    return found


def _tried_one_by_one(connection: Reader, query: Query, folded: str, *, limit: int) -> list[int]:
    part = Part(RAW, query.range.low, query.range.high)
    values = query.values | bounds([part]) | {"keyword": folded, "limit": limit}
    return [row_id for (row_id,) in _rows_holding(connection, values, query.shape)]


@prepared
def _rows_holding(shape: Shape) -> Executable:
    said = records.join(contents, contents.c.id == records.c.content_id)
    where = [*shape.inside(RAW, "0"), dialects.contains(folded_text, "keyword")]
    found = select(records.c.id).select_from(said).where(*where)
    return dialects.packed(found.order_by(records.c.id.desc()).limit(bindparam("limit")))


def _newest_holding(connection: Reader, dialect: Dialect, folded: str, hours: IdRange) -> list[_Content]:
    """Return contents of some hours that hold the keyword, newest first: a number of them, in whole hours."""
    found = _holding(connection, dialect, folded, hours, limit=CONTENTS_AT_ONCE)
    if len(found) == CONTENTS_AT_ONCE:
        rest = IdRange(found[-1].hour.low, found[-1].id)
        found += _holding(connection, dialect, folded, rest, limit=_ALL)
    return found


def _holding(
    connection: Reader, dialect: Dialect, folded: str, span: IdRange, *, limit: int
) -> list[_Content]:
    terms = dialect.search_terms(folded)
    index = None if terms is None else dialect.search_index
    values = {"keyword": folded, "terms": terms, "low": span.low, "high": span.high, "limit": limit}
    return [_Content(*row) for row in _contents_holding(connection, values, index)]


@prepared
def _contents_holding(index: SearchIndex | None) -> Executable:
    row_id = contents.c.id if index is None else index.row_id
    found = select(contents.c.id, contents.c.shared)
    where = [row_id >= bindparam("low"), row_id < bindparam("high")]
    if index is not None:
        found = found.select_from(index.table.join(contents, contents.c.id == row_id))
        where.append(index.condition)
    found = found.where(*where, dialects.contains(folded_text, "keyword"))
    return dialects.packed(found.order_by(row_id.desc()).limit(bindparam("limit")))


def _saying(connection: Reader, query: Query, holding: Sequence[_Content], *, limit: int) -> list[int]:
    """Return ids of the newest rows that say some contents, newest first.

    Rows that share a content are looked for hour by hour, then in twice as many hours each time.
    """
    found: list[int] = []
    for own in chunks((content.id for content in holding if not content.shared), falling=True):
        if len(found) < limit:
            found += _ids(connection, query, [query.range], limit=limit - len(found), ids=tuple(own))
    shared: dict[IdRange, list[int]] = {}
    for content in holding:
        if content.shared:
            shared.setdefault(content.hour, []).append(content.id)
    hours, size = list(shared), 1
    while hours and sum(row_id >= hours[0].high for row_id in found) < limit:
        some, hours, size = hours[:size], hours[size:], size * 2
        ranges = [query.range.cut(hour.low, hour.high) for hour in some]
        for said in chunks(content_id for hour in some for content_id in shared[hour]):
            found += _ids(connection, query, ranges, limit=limit, content_ids=tuple(said))
    return sorted(found, reverse=True)[:limit]


def _ids(
    connection: Reader,
    query: Query,
    ranges: Sequence[IdRange],
    *,
    limit: int,
    **filters: tuple[int, ...],
) -> list[int]:
    narrowed = replace(query, filters=query.filters.also(**filters))
    rows = pages.newest_in(connection, narrowed, ranges, fields=["id"], limit=limit)
    return [row["id"] for row in rows]

"""Search by keyword: a type by its number or name, anything else inside content and model names.

Three ways lead to rows whose content holds the keyword, and the number of rows in question, known from the
buckets, decides: few rows are scanned; many are looked up in the substring index and each one found is
verified; a keyword of one or two characters has no trigram and is always scanned for. Model names are few
and found in the buckets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, select

from . import dialects, log_types, pages, sums
from .dialects import Dialect
from .ids import IdRange
from .pages import Rows
from .sums import Query
from .tables import daily, hourly, records

#: Up to this many rows a scan is no slower than the index.
FEW_ROWS = 5_000


def search(
    connection: Connection, dialect: Dialect, query: Query, keyword: str, *, fields: Sequence[str], limit: int
) -> Rows:
    """Return the newest `limit` rows that a keyword finds under the filters of the query, newest first."""
    kind = log_types.keyword_type(keyword)
    if kind is not None:
        return _of_type(connection, query, int(kind), fields=fields, limit=limit)
    folded = keyword.casefold()
    in_content = _in_content(connection, dialect, query, folded, limit=limit)
    in_name = _in_model_name(connection, query, folded, limit=limit)
    found = sorted({*in_content, *in_name}, reverse=True)[:limit]
    return _rows(connection, found, fields)


def _of_type(connection: Connection, query: Query, kind: int, *, fields: Sequence[str], limit: int) -> Rows:
    if query.filters.get("type", kind) != kind:
        return []
    typed = replace(query, filters=query.filters.also(type=kind))
    return pages.page(connection, typed, fields=fields, offset=0, limit=limit).rows


def _in_model_name(connection: Connection, query: Query, folded: str, *, limit: int) -> list[int]:
    """Return ids of the newest rows whose model name holds the keyword."""
    names = [name for name in _model_names(connection, query) if folded in name.casefold()]
    if not names:
        return []
    named = replace(query, filters=query.filters.also(model_names=tuple(sorted(names))))
    rows = pages.page(connection, named, fields=["id"], offset=0, limit=limit).rows
    return [row["id"] for row in rows]


def _model_names(connection: Connection, query: Query) -> list[str]:
    """Return the model names in use: those of the site for a site's query, else those of the scope."""
    table = daily if query.scope.is_site else hourly
    name = table.c.model_name
    where = [*query.scope.conditions(table), table.c.retained == 0]
    return list(connection.scalars(select(name).where(*where).distinct()))


def _in_content(
    connection: Connection, dialect: Dialect, query: Query, folded: str, *, limit: int
) -> list[int]:
    """Return ids of the newest rows whose content holds the keyword."""
    narrowed = replace(query, filters=query.filters.dimensions_only())
    rows = sums.count(connection, narrowed)
    if not rows:
        return []
    holds = dialects.contains_folded(records.c.content, folded)
    index = dialect.search_index(folded) if rows > FEW_ROWS else None
    if index is None:
        return _scanned(connection, query, holds, limit=limit)
    where = [*query.conditions(records), *index.conditions, holds, *_inside(index.row_id, query.range)]
    joined = index.table.join(records, records.c.id == index.row_id)
    found = select(index.row_id).select_from(joined).where(*where)
    return list(connection.scalars(found.order_by(index.row_id.desc()).limit(limit)))


def _scanned(connection: Connection, query: Query, holds: ColumnElement[bool], *, limit: int) -> list[int]:
    where = [*query.conditions(records), holds, *_inside(records.c.id, query.range)]
    found = select(records.c.id).where(*where)
    return list(connection.scalars(found.order_by(records.c.id.desc()).limit(limit)))


def _inside(row_id: ColumnElement[int], part: IdRange) -> list[ColumnElement[bool]]:
    return [row_id >= part.low, row_id < part.high]


def _rows(connection: Connection, ids: Sequence[int], fields: Sequence[str]) -> Rows:
    if not ids:
        return []
    query = select(*pages.columns(fields)).where(records.c.id.in_(ids)).order_by(records.c.id.desc())
    return [dict(zip(fields, row, strict=True)) for row in connection.execute(query)]

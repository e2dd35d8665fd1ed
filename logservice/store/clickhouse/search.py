"""Search by keyword: inside contents, through blocks that may hold it, and inside the few names of models."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Executable, select

from .. import dialects, log_types
from ..pages import Rows, as_rows
from ..prepared import Reader, prepared
from . import pages
from .selecting import Selection, Shape
from .tables import records, searched


def search(reader: Reader, rows: Selection, keyword: str, *, fields: Sequence[str], limit: int) -> Rows:
    """Return the newest rows that a keyword finds, newest first."""
    kind = log_types.keyword_type(keyword)
    if kind is not None:
        if rows.query.filters.get("type", kind) != kind:
            return []
        return pages.newest(reader, rows.also(type=int(kind)), fields=fields, limit=limit)
    folded = keyword.casefold()
    asked = tuple(dict.fromkeys(("id", *fields)))
    values = rows.values | {"keyword": folded, "limit": limit}
    found = as_rows(asked, _saying(reader, values, rows.shape, asked)) if rows.range else []
    found += _of_models(reader, rows, folded, fields=asked, limit=limit)
    newest = sorted({row["id"]: row for row in found}.items(), reverse=True)[:limit]
    return [{name: row[name] for name in fields} for _, row in newest]


def _of_models(reader: Reader, rows: Selection, folded: str, *, fields: Sequence[str], limit: int) -> Rows:
    """Return the newest rows whose model name holds the keyword."""
    parts = (_model_names(reader, part.values, part.shape) for part in rows.parts(("model_name",)))
    names = {name for known in parts for (name,) in known if folded in name.casefold()}
    if not names:
        return []
    return pages.newest(reader, rows.also(model_names=tuple(sorted(names))), fields=fields, limit=limit)


@prepared
def _saying(shape: Shape, fields: tuple[str, ...]) -> Executable:
    said = dialects.contains(searched, "keyword")
    return pages.rows_statement(shape, fields, oldest=False).where(said)


@prepared
def _model_names(shape: Shape) -> Executable:
    return select(records.c.model_name).where(*shape.conditions()).group_by(records.c.model_name)

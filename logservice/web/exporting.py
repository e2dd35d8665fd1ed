"""What users and administrators take away: their rows as a file, sent while it is read from the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice

import orjson
from flask import Response
from marshmallow import Schema

from ..exports.formats import CSV, NDJSON, TextFormat, text_format
from ..store.queries import Query as Wanted
from ..store.scope import Scope
from ..store.store import LogStore
from .arguments import Query, export_query
from .audiences import Audience
from .described import Content, Success
from .examples import example_of
from .responses import attachment
from .state import current_state


def file_of(row: type[Schema]) -> Success:
    """Return what an export looks like, for the OpenAPI document."""
    example = example_of(row)
    lines, table = (text_format(name, tuple(example)) for name in (NDJSON, CSV))
    contents = (
        Content(lines.mimetype, {"type": "string"}, f"{orjson.dumps(example).decode()}\n"),
        Content(table.mimetype, {"type": "string"}, table.head.decode()),
    )
    named = {"Content-Disposition": "attachment; filename=logs-20250101T000000Z.csv"}
    return Success("A file with one row a line, oldest first.", contents, headers=named)


def attached(query: Query, scope: Scope, audience: Audience) -> Response:
    """Answer with a file of all rows. What fails before the first ones are read is told in the envelope."""
    store, wanted = current_state().store, export_query(query, scope)
    form = text_format(query["format"], audience.fields, byte_order_mark=query["bom"])
    found = _written(store, wanted, form, audience)
    # Sent even if empty: with the head go the headers.
    begun = chain([form.head, *islice(found, 1)], found)
    filename = _filename(form, scope, now=store.clock(), after=query.get("after"))
    return attachment(begun, mimetype=form.mimetype, filename=filename)


def _written(store: LogStore, wanted: Wanted, form: TextFormat, audience: Audience) -> Iterator[bytes]:
    """Return the pieces of the file; where nothing is left out of rows, the database writes the JSON."""
    if form.name == NDJSON and audience.sees_all:
        return store.lines(wanted, fields=audience.fields)
    found = store.batches(wanted, fields=audience.fields)
    return (form.encode(audience.show_exported(rows)) for rows in found)


def _filename(form: TextFormat, scope: Scope, *, now: float, after: int | None) -> str:
    """Return a name such as logs-20261009T123456Z.csv: whose rows, as of when, and behind which one."""
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    parts = ["logs" if scope.is_site else "my-logs", moment, *([] if after is None else [f"after-{after}"])]
    return f"{'-'.join(parts)}.{form.name}"

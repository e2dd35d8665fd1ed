"""What users and administrators take away: their rows as a file, sent while it is read from the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice

from flask import Response

from ..exports.formats import NDJSON, TextFormat, text_format
from ..store import exports
from ..store.queries import Query as Wanted
from ..store.scope import Scope
from ..store.store import LogStore
from .arguments import Query, export_query
from .audiences import Audience
from .responses import attachment
from .state import current_state


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
        return exports.lines(store, wanted, fields=audience.fields)
    found = exports.batches(store, wanted, fields=audience.fields)
    return (form.encode(audience.show_exported(rows)) for rows in found)


def _filename(form: TextFormat, scope: Scope, *, now: float, after: int | None) -> str:
    """Return a name such as logs-20261009T123456Z.csv: whose rows, as of when, and behind which one."""
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    parts = ["logs" if scope.is_site else "my-logs", moment, *([] if after is None else [f"after-{after}"])]
    return f"{'-'.join(parts)}.{form.name}"

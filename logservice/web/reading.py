"""What users and administrators ask alike: a page, statistics, usage, a search.

They differ in scope and audience.
"""

from __future__ import annotations

from flask import Response

from ..store.largest import Largest
from ..store.queries import Query as Question
from ..store.scope import Scope
from ..store.usage import Grouping
from .arguments import Query, asked_type, cursor, filters, span
from .audiences import Audience
from .responses import ApiError, success
from .state import current_state


def page(query: Query, scope: Scope, audience: Audience) -> Response:
    """Answer with `{items, total, page, page_size}`; rows beside a cursor are page 1."""
    store, size, beside = current_state().store, query["page_size"], cursor(query)
    if beside:
        found = store.beside(scope, filters(query), span(query), beside, fields=audience.fields, limit=size)
    else:
        found = store.page(
            scope, filters(query), span(query), fields=audience.fields, page=query["p"], page_size=size
        )
    return success(
        {
            "items": audience.show(found.rows),
            "total": found.total,
            "page": 1 if beside else query["p"],
            "page_size": size,
        }
    )


def statistics(query: Query, scope: Scope) -> Response:
    """Answer with the sums over filters and range, and the rates of the last minute."""
    store = current_state().store
    return success(store.statistics(scope, filters(query), span(query), asked=asked_type(query)))


def usage(query: Query, scope: Scope) -> Response:
    """Answer with the usage by groups and intervals, and with how the question was understood.

    As in the statistics, quota and tokens are those of one type, consume unless another is named; grouped by
    type they are those of each.
    """
    by, tz, top = query["group_by"], query["timezone"], query.get("top")
    if top is not None and len(by) != 1:
        raise ApiError(400, "top: group_by must name one thing of which there is a largest")
    found = current_state().store.usage(
        Question(scope, filters(query), span(query)),
        Grouping(by, query["interval"], tz),
        asked=None if "type" in by else asked_type(query),
        only=None if top is None else Largest(top, query["top_by"]),
    )
    return success(
        {
            "start_timestamp": query["start_timestamp"],
            "end_timestamp": query["end_timestamp"],
            "interval": query["interval"],
            "timezone": tz.key,
            "group_by": by,
            "exact": found.is_exact,
            **({} if top is None else {"top": top, "top_by": query["top_by"], "groups": found.number}),
            "items": found.groups,
        }
    )


def search(query: Query, scope: Scope, audience: Audience) -> Response:
    """Answer with the newest rows a keyword finds, as an array."""
    rows = current_state().store.search(
        scope,
        filters(query),
        span(query).cut(None, query.get("before")),
        query["keyword"],
        fields=audience.fields,
        limit=query["page_size"],
    )
    return success(audience.show(rows))

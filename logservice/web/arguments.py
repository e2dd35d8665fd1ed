"""Query strings made into typed values before a view sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from flask import Response, request
from marshmallow import Schema, ValidationError

from ..store import ids
from ..store.filters import FILTERS, Filters
from ..store.ids import IdRange
from ..store.log_types import LogType
from ..store.pages import Cursor
from ..store.queries import Query as Question
from ..store.scope import Scope
from .described import noted
from .responses import ApiError

View = Callable[..., Response]
Query = dict[str, Any]


def takes(schema: type[Schema]) -> Callable[[View], View]:
    """Read the query string by a schema and hand the view its values; 400 naming the parameter otherwise."""
    reader = schema()

    def decorate(view: View) -> View:
        @wraps(view)
        def parsed(*args: Any, **kwargs: Any) -> Response:
            try:
                query: Query = reader.load(request.args.to_dict())
            except ValidationError as error:
                raise ApiError(400, first_message(error)) from None
            return view(query, *args, **kwargs)

        return noted(
            parsed,
            query=schema,
            failures={400: "start_timestamp: not a number of epoch seconds, such as 1735689600"},
        )

    return decorate


def first_message(error: ValidationError) -> str:
    """Return "name: what is wrong with it" for the first parameter that could not be read."""
    messages: Mapping[str, Any] = error.messages_dict
    name, reasons = next(iter(messages.items()))
    reason = reasons[0] if isinstance(reasons, list) else str(reasons)
    return f"{name[:80]}: {reason[:1].lower()}{reason[1:]}".rstrip(".")


def filters(query: Query) -> Filters:
    """Return the filters among the values of a query string."""
    return Filters({entry.name: query.get(entry.name) for entry in FILTERS})


def span(query: Query) -> IdRange:
    """Return the range of ids for the two timestamps, cut by `before` where the endpoint takes it."""
    return ids.between(query["start_timestamp"], query["end_timestamp"])


def cursor(query: Query) -> Cursor:
    """Return the cursor among the values of a query string."""
    return Cursor(query.get("before"), query.get("after"))


def export_query(query: Query, scope: Scope) -> Question:
    """Return the question for all rows that an export is about: those behind `after` if that is given."""
    behind = None if query.get("after") is None else query["after"] + 1
    return Question(scope, filters(query), span(query).cut(behind, None))


def asked_type(query: Query) -> int:
    """Return the type statistics are asked for: consume unless another one is named."""
    return query["type"] or int(LogType.CONSUME)

"""What the decorators of a view say about it: noted on the view, and made into the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from marshmallow import Schema
from marshmallow.fields import Field

JSON = "application/json"
UNREACHABLE = "the database was locked for more than 10 seconds"

_NAME = "_logservice_facts"

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Content:
    """A body of one media type: the field or the JSON Schema that describes it, and an example."""

    mimetype: str
    schema: Field[Any] | Mapping[str, Any]
    example: Any


@dataclass(frozen=True, slots=True)
class Success:
    """A good answer without the envelope: what it means, its status, and its body in one or more types."""

    description: str
    contents: tuple[Content, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of a view.

    `data` is what its envelope holds; `failures` gives an example of the message for each status;
    `keeps_status` says that LOGSERVICE_LEGACY_STATUS changes nothing here;
    `failing` says how failures look where they have no envelope; `arguments` gives for each part of the path
    that varies its meaning and an example.
    """

    roles: tuple[str, ...] = ()
    takes_key: bool = False
    query: type[Schema] | None = None
    bodies: tuple[Content, ...] = ()
    repeatable: bool = False
    data: Field[Any] | None = None
    successes: tuple[Success, ...] = ()
    keeps_status: bool = False
    failures: Mapping[int, str] = field(default_factory=dict)
    failing: Callable[[str], tuple[Content, ...]] | None = None
    arguments: Callable[[], Mapping[str, tuple[str, str]]] | None = None


def facts_of(view: Callable[..., Any]) -> Facts:
    """Return what is known of a view, or of one that wraps it: `functools.wraps` hands it on."""
    found: Facts = getattr(view, _NAME, Facts())
    return found


def noted(view: View, *, failures: Mapping[int, str] | None = None, **facts: Any) -> View:
    """Note some facts on a view and return it; failures are added to those that are known."""
    known = facts_of(view)
    setattr(view, _NAME, replace(known, failures={**known.failures, **(failures or {})}, **facts))
    return view


def answers(data: Field[Any]) -> Callable[[View], View]:
    """Say what the envelope of a success holds."""
    return lambda view: noted(view, data=data)


def answers_with(*successes: Success) -> Callable[[View], View]:
    """Say what a success looks like that has no envelope."""
    return lambda view: noted(view, successes=successes)


def accepts(*bodies: Content, repeatable: bool = True) -> Callable[[View], View]:
    """Say which bodies a view reads, and whether it knows repeats by an Idempotency-Key."""
    failures = {
        400: "body: empty; an event, an array of events or lines of them are expected",
        413: "body: longer than 33554432 bytes",
        415: "Content-Type: text/csv is neither application/json nor application/x-ndjson; send the header"
        " `Content-Type: application/json`",
    }
    if repeatable:
        failures[409] = "Idempotency-Key: was used for another body"
    return lambda view: noted(view, bodies=bodies, repeatable=repeatable, failures=failures)


def with_path(arguments: Callable[[], Mapping[str, tuple[str, str]]]) -> Callable[[View], View]:
    """Say what the parts of a path mean that vary, with an example of each."""
    return lambda view: noted(view, arguments=arguments)


def fails(status: int, message: str) -> Callable[[View], View]:
    """Say with which further status a view may answer, and with what message for example."""
    return lambda view: noted(view, failures={status: message})


def keeps_status(view: View) -> View:
    """Say that failures of a view keep their status, also for old clients."""
    return noted(view, keeps_status=True)


def fails_with(contents: Callable[[str], tuple[Content, ...]]) -> Callable[[View], View]:
    """Say how the failures of a view look that has no envelope for them, given the message."""
    return lambda view: noted(view, failing=contents)

"""One operation of the document, made of what is noted on its view."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from marshmallow.fields import Field

from ..described import JSON, Content, Facts, Success, facts_of
from ..examples import enveloped, example, refused
from .converter import FieldConverter

#: A parameter by its name among the components.
IDEMPOTENCY_KEY = "IdempotencyKey"
KEY_SECURITY: list[dict[str, list[str]]] = [{"keyInQuery": []}, {"keyInHeader": []}, {}]

_FAILURE = {"$ref": "#/components/schemas/Failure"}
_CHINESE = re.compile(r"[一-鿿]")
_HEADERS: Mapping[int, Mapping[str, tuple[str, dict[str, Any], Any]]] = {
    401: {"WWW-Authenticate": ("the scheme of credentials", {"type": "string"}, "Bearer")},
    429: {"Retry-After": ("seconds to wait", {"type": "integer"}, 30)},
    503: {"Retry-After": ("seconds to wait", {"type": "integer"}, 2)},
}
_MEANINGS = {
    200: "It could not be done.",
    400: "A parameter or the body cannot be read; the message names it.",
    401: "There is no valid access token.",
    403: "The role may not do this.",
    404: "There is nothing at this path.",
    409: "It contradicts what was done before, or what goes on.",
    413: "The body is too long, also once unpacked.",
    415: "The body is of a type that is not read here.",
    429: "Too many requests from this address.",
    503: "The database cannot be used, or was locked for too long.",
}


class Operations:
    """Makes operations of views, for one application."""

    def __init__(self, converter: FieldConverter, *, by_token: bool, legacy_status: bool) -> None:
        self._converter = converter
        self._by_token = by_token
        self._legacy_status = legacy_status

    def of(self, view: Callable[..., Any], *, name: str, group: str) -> dict[str, Any]:
        """Return the operation of a view under the name and in the group that are given."""
        facts = facts_of(view)
        summary, description, chinese = _told(view)
        operation = {
            "operationId": name,
            "tags": [group],
            "summary": summary,
            "x-summary-zh": chinese,
            "description": _with_roles(description, facts.roles),
            "parameters": list(self._parameters(facts)),
            "responses": self._responses(facts),
        }
        if facts.roles:
            operation["x-roles"] = list(facts.roles)
        if facts.bodies:
            operation["requestBody"] = {"required": True, "content": self._contents(facts.bodies)}
        if facts.takes_key:
            operation["security"] = KEY_SECURITY
        elif facts.roles and self._by_token:
            operation["security"] = [{"accessToken": []}]
        return operation

    def _parameters(self, facts: Facts) -> Iterator[dict[str, Any] | str]:
        if facts.query is not None:
            yield from self._converter.schema2parameters(facts.query, location="query")
        if facts.repeatable:
            yield IDEMPOTENCY_KEY

    def _responses(self, facts: Facts) -> dict[str, Any]:
        """Return what is answered, by status; bodies of one status and type stand beside one another."""
        found: dict[int, list[Success]] = {}
        for success in self._successes(facts):
            found.setdefault(success.status, []).append(success)
        for status, message in sorted(facts.failures.items()):
            failure = _failure(facts, status, message)
            legacy = self._legacy_status and status != 401 and not (facts.failing or facts.keeps_status)
            found.setdefault(200 if legacy else status, []).append(failure)
        return {str(status): self._response(status, found[status]) for status in sorted(found)}

    def _successes(self, facts: Facts) -> Iterator[Success]:
        yield from facts.successes
        if facts.data is not None:
            schema = {
                "type": "object",
                "properties": {
                    "success": {"const": True},
                    "message": {"const": ""},
                    "data": self._schema(facts.data),
                },
                "required": ["success", "message", "data"],
                "additionalProperties": False,
            }
            yield Success("It worked.", (Content(JSON, schema, enveloped(example(facts.data))),))

    def _response(self, status: int, answers: list[Success]) -> dict[str, Any]:
        response: dict[str, Any] = {
            "description": " ".join(dict.fromkeys(answer.description for answer in answers))
        }
        contents = [content for answer in answers for content in answer.contents]
        if contents:
            response["content"] = self._contents(contents)
        headers = {
            name: {"description": description, "required": True, "schema": schema, "example": value}
            for name, (description, schema, value) in _HEADERS.get(status, {}).items()
        }
        for answer in answers:
            for name, value in answer.headers.items():
                headers[name] = {"required": True, "schema": {"type": "string"}, "example": value}
        if headers:
            response["headers"] = headers
        return response

    def _contents(self, contents: tuple[Content, ...] | list[Content]) -> dict[str, Any]:
        by_type: dict[str, list[Content]] = {}
        for content in contents:
            by_type.setdefault(content.mimetype, []).append(content)
        return {mimetype: self._media(same) for mimetype, same in by_type.items()}

    def _media(self, contents: list[Content]) -> dict[str, Any]:
        schemas = [self._schema(content.schema) for content in contents]
        different = [schema for place, schema in enumerate(schemas) if schema not in schemas[:place]]
        schema = different[0] if len(different) == 1 else {"anyOf": different}
        if len(contents) == 1:
            return {"schema": schema, "example": contents[0].example}
        named = {f"example{place}": {"value": one.example} for place, one in enumerate(contents, start=1)}
        return {"schema": schema, "examples": named}

    def _schema(self, schema: Field[Any] | Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(schema, Mapping):
            return dict(schema)
        return self._converter.field2property(schema)


def _failure(facts: Facts, status: int, message: str) -> Success:
    contents = facts.failing(message) if facts.failing else (Content(JSON, _FAILURE, refused(message)),)
    return Success(_MEANINGS[status], contents, status=status)


def _told(view: Callable[..., Any]) -> tuple[str, str, str]:
    """Return the first sentence of a docstring, the rest, and its last paragraph if that is in Chinese."""
    paragraphs = [" ".join(part.split()) for part in (inspect.getdoc(view) or "").split("\n\n")]
    chinese = paragraphs.pop() if _CHINESE.search(paragraphs[-1]) else ""
    summary, _, rest = paragraphs[0].partition(". ")
    return summary.rstrip("."), "\n\n".join(filter(None, [rest, *paragraphs[1:]])), chinese.rstrip("。")


def _with_roles(description: str, roles: tuple[str, ...]) -> str:
    told = f"Roles: {', '.join(f'`{role}`' for role in roles)}." if roles else ""
    return "\n\n".join(part for part in (description, told) if part)

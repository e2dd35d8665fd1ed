"""The OpenAPI document of an application: every route of ours that is mounted there, at its path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from apispec import APISpec
from flask import Flask
from werkzeug.routing import Rule

from ..auth import by_access_token
from ..described import Facts, facts_of
from ..events import event_schema
from ..examples import refused
from ..state import EXTENSION, State
from . import texts
from .converter import Plugin
from .operations import IDEMPOTENCY_KEY, Operations

_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")

_FAILURE = {
    "type": "object",
    "properties": {
        "success": {"const": False},
        "message": {"type": "string", "minLength": 1, "description": "names the parameter or the cause"},
    },
    "required": ["success", "message"],
    "additionalProperties": False,
    "example": refused("a valid access token is required"),
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "description": "Your name for this post. The same with the same body stores nothing more, "
    "and is answered as the first one was.",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"\S"},
    "example": "batch-7",
}


def document_of(app: Flask) -> dict[str, Any]:
    """Return the document of an application, without `servers`, which depend on where it is read."""
    state: State = app.extensions[EXTENSION]
    plugin = Plugin()
    spec = APISpec(
        title="logservice",
        version=version("logservice"),
        openapi_version="3.1.0",
        plugins=[plugin],
        info=texts.info(version("logservice"), legacy_status=state.settings.legacy_status),
    )
    by_token = state.authenticate is by_access_token
    if by_token:
        spec.components.security_scheme("accessToken", texts.ACCESS_TOKEN)
    spec.components.security_scheme("keyInQuery", texts.KEY_IN_QUERY)
    spec.components.security_scheme("keyInHeader", texts.KEY_IN_HEADER)
    spec.components.schema("Failure", _FAILURE)
    spec.components.schema("Event", event_schema())
    spec.components.parameter(IDEMPOTENCY_KEY, "header", _IDEMPOTENCY_KEY)
    operations = Operations(
        plugin.own_converter, by_token=by_token, legacy_status=state.settings.legacy_status
    )
    used: set[str] = set()
    for rule in described_rules(app):
        blueprint = rule.endpoint.rpartition(".")[0]
        group = texts.GROUPS.get(blueprint, texts.SERVICE)
        used.add(group[0])
        operation = operations.of(
            app.view_functions[rule.endpoint], name=_name(rule.endpoint), group=group[0]
        )
        spec.path(
            path=_ARGUMENT.sub(r"{\1}", rule.rule),
            operations={method.lower(): operation for method in methods(rule)},
            parameters=_path_parameters(rule, facts_of(app.view_functions[rule.endpoint])),
        )
    for name, description, chinese in dict.fromkeys((*texts.GROUPS.values(), texts.SERVICE)):
        if name in used:
            spec.tag({"name": name, "description": description, "x-summary-zh": chinese})
    return spec.to_dict()


def described_rules(app: Flask) -> Iterator[Rule]:
    """Yield the rules of an application whose views are ours, by their paths."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint)):
        if facts_of(app.view_functions[rule.endpoint]) != Facts():
            yield rule


def methods(rule: Rule) -> list[str]:
    """Return the methods of a rule without those that Flask answers by itself."""
    return sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})


def _path_parameters(rule: Rule, facts: Facts) -> list[dict[str, Any]]:
    arguments = facts.arguments() if facts.arguments else {}
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": arguments[name][0],
            "schema": {"type": "string"},
            "example": arguments[name][1],
        }
        for name in _ARGUMENT.findall(rule.rule)
    ]


def _name(endpoint: str) -> str:
    return endpoint.removeprefix("logservice.").removeprefix("logservice_").replace(".", "_")

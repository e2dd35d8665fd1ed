"""Prefixes that would have two routes answer at one path: the second one would never be asked."""

from __future__ import annotations

import re
from functools import lru_cache

from flask import Flask

from ..errors import InvalidValue
from . import cloudevents, dashboard, data, routes, traces
from .ingest import events_bp, sources_bp
from .openapi import views as docs_views
from .prefixes import Prefixes
from .scraping import bp as metrics_bp

#: Which argument says where the routes of a blueprint lie.
_ARGUMENTS = {
    routes.root.name: "url_prefix",
    events_bp.name: "url_prefix",
    sources_bp.name: "ingest",
    cloudevents.bp.name: "protocols",
    traces.bp.name: "protocols",
    data.bp.name: "data",
    dashboard.bp.name: "page",
    docs_views.bp.name: "docs",
    metrics_bp.name: "metrics",
}
_VARIABLE = re.compile("<[^>]*>")


@lru_cache(maxsize=16)
def refuse(prefixes: Prefixes) -> None:
    """Raise InvalidValue where two routes would answer the same, naming the arguments that put them there."""
    # Nothing of the host has a part in it: what is mounted on an application cannot be taken back.
    trial = Flask(__name__, static_folder=None)
    routes.register(trial, prefixes)
    seen: dict[tuple[str, str], str] = {}
    for rule in trial.url_map.iter_rules():
        path = _VARIABLE.sub("<>", rule.rule).rstrip("/") or "/"
        argument = _ARGUMENTS[rule.endpoint.partition(".")[0]]
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            other = seen.setdefault((method, path), argument)
            if other != argument:
                raise InvalidValue(
                    f"{argument}: {method} {path} belongs to {other}; one of them needs another prefix"
                )

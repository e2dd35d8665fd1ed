"""The routes, complete at import: three audiences nested in one blueprint, and the doors for events."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Flask, Response

from ..errors import LogServiceError
from . import admin, cloudevents, cors, dashboard, data, observing, own, public, traces
from .ingest import events_bp, sources_bp
from .openapi import views as docs_views
from .prefixes import Prefixes
from .responses import ApiError, answer_http_errors, as_it_says, failure, from_domain, from_http
from .scraping import bp as metrics_bp

# Nested, so that a host's own `admin` blueprint does not clash with ours.
root = Blueprint("logservice", __name__)
for audience in (public.bp, own.bp, admin.bp):
    root.register_blueprint(audience)


def never_stored(response: Response) -> Response:
    """Keep logs out of every cache between here and the reader, and have no browser guess what they are."""
    response.headers["Cache-Control"] = "no-store"
    return as_it_says(response)


for top in (root, data.bp, events_bp, sources_bp, cloudevents.bp, metrics_bp):
    top.after_request(never_stored)
for top in (root, data.bp, events_bp, sources_bp, cloudevents.bp, metrics_bp, dashboard.bp, docs_views.bp):
    top.register_error_handler(ApiError, failure)
    top.register_error_handler(LogServiceError, from_domain)
    answer_http_errors(top, from_http)
    observing.observe(top)
# OTLP has answers of its own.
traces.bp.after_request(never_stored)
observing.observe(traces.bp)


def mount(app: Flask, prefixes: Prefixes, *, origins: Sequence[str]) -> None:
    """Register the routes on an application, and let web origins call them."""
    register(app, prefixes)
    listed = [prefixes.url_prefix]
    if prefixes.ingest is not None:
        protocols = _protocols(prefixes, prefixes.ingest)
        if prefixes.ingest:
            # Whatever lies below the root is not all ours.
            listed.append(prefixes.ingest)
        listed += [protocols + cloudevents.PATH, protocols + traces.PATH]
    if prefixes.data is not None:
        listed.append(prefixes.data)
    cors.open_routes(app, to_all=f"{prefixes.url_prefix}/token", to_listed=listed, origins=origins)


def register(app: Flask, prefixes: Prefixes) -> None:
    """Register the routes on an application below the prefixes it chose."""
    app.register_blueprint(root, url_prefix=prefixes.url_prefix)
    if prefixes.ingest is not None:
        app.register_blueprint(events_bp, url_prefix=prefixes.url_prefix)
        app.register_blueprint(sources_bp, url_prefix=prefixes.ingest)
        for bp in (cloudevents.bp, traces.bp):
            app.register_blueprint(bp, url_prefix=_protocols(prefixes, prefixes.ingest))
    if prefixes.data is not None:
        app.register_blueprint(data.bp, url_prefix=prefixes.data)
    if prefixes.page is not None:
        app.register_blueprint(dashboard.bp, url_prefix=prefixes.page)
    if prefixes.docs is not None:
        app.register_blueprint(docs_views.bp, url_prefix=prefixes.docs)
    if prefixes.metrics is not None:
        app.register_blueprint(metrics_bp, url_prefix=prefixes.metrics)


def _protocols(prefixes: Prefixes, ingest: str) -> str:
    return ingest if prefixes.protocols is None else prefixes.protocols

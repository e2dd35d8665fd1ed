"""The routes, complete at import: three audiences nested in one blueprint, and the doors for events."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Flask, Response

from ..errors import LogServiceError
from . import admin, cloudevents, cors, dashboard, data, observing, own, public, traces
from .ingest import events_bp, sources_bp
from .openapi import views as docs_views
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


def mount(
    app: Flask,
    *,
    url_prefix: str,
    ingest: str | None,
    protocols: str | None,
    data_prefix: str | None,
    page: str | None,
    docs: str | None,
    metrics: str | None,
    origins: Sequence[str],
) -> None:
    """Register the routes on an application below the prefixes it chose; see `LogService`."""
    app.register_blueprint(root, url_prefix=url_prefix)
    listed = [url_prefix]
    if ingest is not None:
        protocols = ingest if protocols is None else protocols
        app.register_blueprint(events_bp, url_prefix=url_prefix)
        app.register_blueprint(sources_bp, url_prefix=ingest)
        for bp in (cloudevents.bp, traces.bp):
            app.register_blueprint(bp, url_prefix=protocols)
        listed += [prefix for prefix in (ingest,) if prefix]
        listed += [protocols + cloudevents.PATH, protocols + traces.PATH]
    if data_prefix is not None:
        app.register_blueprint(data.bp, url_prefix=data_prefix)
        listed.append(data_prefix)
    if page is not None:
        app.register_blueprint(dashboard.bp, url_prefix=page)
    if docs is not None:
        app.register_blueprint(docs_views.bp, url_prefix=docs)
    if metrics is not None:
        app.register_blueprint(metrics_bp, url_prefix=metrics)
    cors.open_routes(app, to_all=f"{url_prefix}/token", to_listed=listed, origins=origins)

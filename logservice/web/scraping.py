"""Where Prometheus fetches its figures: the route alone, for what counts is loaded only if it is used."""

from __future__ import annotations

from flask import Blueprint, Response

from .auth import requires_scraper
from .responses import ApiError, of_protocol
from .state import current_state

#: The text format of Prometheus, https://prometheus.io/docs/instrumenting/exposition_formats/
TEXT = "text/plain; version=0.0.4"

bp = Blueprint("logservice_metrics", __name__)


@bp.get("", strict_slashes=False, merge_slashes=False)
@requires_scraper
def metrics() -> Response:
    """What the service counts, and the state of its log, for Prometheus."""
    state = current_state()
    if state.metrics is None:
        raise ApiError(404, "LOGSERVICE_METRICS is off")
    return of_protocol(state.metrics.exposition(state.store), mimetype=TEXT)

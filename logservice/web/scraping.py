"""Where Prometheus fetches its figures: the route alone, for what counts is loaded only if it is used."""

from __future__ import annotations

from flask import Blueprint, Response

from .auth import requires_scraper
from .described import Content, Success, answers_with, fails
from .responses import ApiError, of_protocol
from .state import current_state

#: The text format of Prometheus, https://prometheus.io/docs/instrumenting/exposition_formats/
TEXT = "text/plain; version=0.0.4"
OFF = "LOGSERVICE_METRICS is off"

_FIGURES = Success(
    "Figures in the text format of Prometheus.",
    (Content("text/plain", {"type": "string"}, "logservice_events_ingested_total 120.0\n"),),
)

bp = Blueprint("logservice_metrics", __name__)


@bp.get("", strict_slashes=False, merge_slashes=False)
@answers_with(_FIGURES)
@fails(404, OFF)
@requires_scraper
def metrics() -> Response:
    """What the service counts, and the state of its log, for Prometheus.

    `LOGSERVICE_METRICS_TOKEN` opens it as well as an administrator's access token.

    Prometheus 指标。
    """
    state = current_state()
    if state.metrics is None:
        raise ApiError(404, OFF)
    return of_protocol(state.metrics.exposition(state.store), mimetype=TEXT)

"""What users may ask: their own rows, never anybody else's."""

from __future__ import annotations

from flask import Blueprint, Response

from . import exporting, reading
from .arguments import Query, takes
from .audiences import OWN
from .auth import own_scope, requires
from .responses import saying
from .schemas import OwnExport, OwnFilters, OwnLogs, OwnSearch, OwnUsage

bp = Blueprint("self", __name__, url_prefix="/self")


@bp.get("", strict_slashes=False, merge_slashes=False)
@saying("获取日志失败")
@requires("user", "admin")
@takes(OwnLogs)
def logs(query: Query) -> Response:
    """A page of the caller's rows, newest first."""
    return reading.page(query, own_scope(), OWN)


@bp.get("/stat", strict_slashes=False, merge_slashes=False)
@saying("获取统计信息失败")
@requires("user", "admin")
@takes(OwnFilters)
def stat(query: Query) -> Response:
    """Statistics of the caller's rows."""
    return reading.statistics(query, own_scope())


@bp.get("/usage", strict_slashes=False, merge_slashes=False)
@saying("获取统计信息失败")
@requires("user", "admin")
@takes(OwnUsage)
def usage(query: Query) -> Response:
    """The caller's usage by groups and intervals."""
    return reading.usage(query, own_scope())


@bp.get("/search", strict_slashes=False, merge_slashes=False)
@saying("搜索日志失败")
@requires("user", "admin")
@takes(OwnSearch)
def search(query: Query) -> Response:
    """The caller's newest rows that a keyword finds."""
    return reading.search(query, own_scope(), OWN)


@bp.get("/export", strict_slashes=False, merge_slashes=False)
@saying("获取日志失败")
@requires("user", "admin")
@takes(OwnExport)
def export(query: Query) -> Response:
    """The caller's rows, oldest first, as a file that is sent as it is read."""
    return exporting.attached(query, own_scope(), OWN)

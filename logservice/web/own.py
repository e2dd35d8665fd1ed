"""What users may ask: their own rows, never anybody else's."""

from __future__ import annotations

from flask import Blueprint, Response

from . import exporting, reading
from .answers import OWN_PAGE, OWN_ROWS, STATISTICS, USAGE
from .arguments import Query, takes
from .audiences import OWN
from .auth import own_scope, requires
from .described import answers, answers_with
from .responses import saying
from .schemas import OwnExport, OwnFilters, OwnLogs, OwnRow, OwnSearch, OwnUsage

bp = Blueprint("self", __name__, url_prefix="/self")


@bp.get("", strict_slashes=False, merge_slashes=False)
@answers(OWN_PAGE)
@saying("获取日志失败")
@requires("user", "admin")
@takes(OwnLogs)
def logs(query: Query) -> Response:
    """A page of the caller's rows, newest first.

    自己的日志，分页返回，新的在前。
    """
    return reading.page(query, own_scope(), OWN)


@bp.get("/stat", strict_slashes=False, merge_slashes=False)
@answers(STATISTICS)
@saying("获取统计信息失败")
@requires("user", "admin")
@takes(OwnFilters)
def stat(query: Query) -> Response:
    """Statistics of the caller's rows.

    自己日志的统计。
    """
    return reading.statistics(query, own_scope())


@bp.get("/usage", strict_slashes=False, merge_slashes=False)
@answers(USAGE)
@saying("获取统计信息失败")
@requires("user", "admin")
@takes(OwnUsage)
def usage(query: Query) -> Response:
    """The caller's usage by groups and intervals.

    自己的用量，按分组和时间间隔汇总。
    """
    return reading.usage(query, own_scope())


@bp.get("/search", strict_slashes=False, merge_slashes=False)
@answers(OWN_ROWS)
@saying("搜索日志失败")
@requires("user", "admin")
@takes(OwnSearch)
def search(query: Query) -> Response:
    """The caller's newest rows that a keyword finds.

    按关键词搜索自己的日志，返回最新的若干条。
    """
    return reading.search(query, own_scope(), OWN)


@bp.get("/export", strict_slashes=False, merge_slashes=False)
@answers_with(exporting.file_of(OwnRow))
@saying("获取日志失败")
@requires("user", "admin")
@takes(OwnExport)
def export(query: Query) -> Response:
    """The caller's rows, oldest first, as a file that is sent as it is read.

    导出自己的日志，旧的在前，边读边发。
    """
    return exporting.attached(query, own_scope(), OWN)

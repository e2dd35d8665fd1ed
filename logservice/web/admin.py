"""What administrators may ask and do: the rows of the whole site."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response

from ..store import purging
from ..store.retention import Purge
from ..store.scope import Scope
from . import exporting, reading
from .answers import ADMIN_PAGE, ADMIN_ROWS, HEALTH, PROGRESS, PURGED, STATISTICS, USAGE
from .arguments import Query, takes
from .audiences import ADMIN
from .auth import requires
from .described import answers, answers_with, fails
from .responses import ApiError, saying, success
from .schemas import AdminRow, AllExport, AllFilters, AllLogs, AllSearch, AllUsage, Purging
from .state import current_state

bp = Blueprint("admin", __name__)


@bp.get("", strict_slashes=False, merge_slashes=False)
@answers(ADMIN_PAGE)
@saying("获取日志失败")
@requires("admin")
@takes(AllLogs)
def logs(query: Query) -> Response:
    """A page of all rows, newest first.

    全部日志，分页返回，新的在前。
    """
    return reading.page(query, Scope.site(), ADMIN)


@bp.get("/stat", strict_slashes=False, merge_slashes=False)
@answers(STATISTICS)
@saying("获取统计信息失败")
@requires("admin")
@takes(AllFilters)
def stat(query: Query) -> Response:
    """Statistics of all rows.

    全部日志的统计。
    """
    return reading.statistics(query, Scope.site())


@bp.get("/usage", strict_slashes=False, merge_slashes=False)
@answers(USAGE)
@saying("获取统计信息失败")
@requires("admin")
@takes(AllUsage)
def usage(query: Query) -> Response:
    """Usage of the whole site by groups and intervals.

    全站用量，按分组和时间间隔汇总。
    """
    return reading.usage(query, Scope.site())


@bp.get("/search", strict_slashes=False, merge_slashes=False)
@answers(ADMIN_ROWS)
@saying("搜索日志失败")
@requires("admin")
@takes(AllSearch)
def search(query: Query) -> Response:
    """The newest of all rows that a keyword finds.

    按关键词搜索全部日志，返回最新的若干条。
    """
    return reading.search(query, Scope.site(), ADMIN)


@bp.get("/export", strict_slashes=False, merge_slashes=False)
@answers_with(exporting.file_of(AdminRow))
@saying("获取日志失败")
@requires("admin")
@takes(AllExport)
def export(query: Query) -> Response:
    """All rows, oldest first, as a file that is sent as it is read.

    导出全部日志，旧的在前，边读边发。
    """
    return exporting.attached(query, Scope.site(), ADMIN)


@bp.get("/purge", strict_slashes=False, merge_slashes=False)
@answers(PROGRESS)
@requires("admin")
def purge_under_way() -> Response:
    """How far the purge is that goes on, whichever process does it.

    正在进行的清理的进度。
    """
    found = purging.under_way(current_state().store)
    return success({"running": False} if found is None else {"running": True, **asdict(found)})


@bp.get("/health", strict_slashes=False, merge_slashes=False)
@answers(HEALTH)
@requires("admin")
def health() -> Response:
    """What the log holds and takes, and whether its sums agree with its rows, checked by samples.

    日志库的状况：行数、占用空间，以及抽查汇总是否与明细一致。
    """
    state = current_state()
    rules = [{"type": rule.log_type, "name": rule.name, "seconds": rule.seconds} for rule in state.retention]
    kept = {"retention": rules, "max_db_size": state.settings.max_db_size}
    return success(state.store.check().complete().to_mapping() | kept)


@bp.delete("", strict_slashes=False, merge_slashes=False)
@answers(PURGED)
@fails(400, "target timestamp is required")
@fails(409, "a purge is running already; try again when it is done, or in a minute if it was killed")
@requires("admin")
@takes(Purging)
def purge(query: Query) -> Response:
    """Delete rows strictly older than a second.

    They go in batches, between which others write; `data` is their number. Unknown parameters are refused.

    删除早于指定时间的日志，分批进行。
    """
    target, store = query["target_timestamp"], current_state().store
    if target <= 0:
        raise ApiError(400, "target timestamp is required")
    if target > (now := store.clock()):
        raise ApiError(400, f"target_timestamp: is in the future; now is {int(now)}")
    wanted = Purge(target, log_type=query["type"], keep_usage=query["keep_usage"])
    return success(sum(store.purge(wanted)))

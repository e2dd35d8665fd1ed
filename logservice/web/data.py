"""The hourly rows that a gateway's own dashboard reads, at the path where its pages look for them.

Parameters and fields are those of new-api: an hour counts whole when it begins within the range.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from ..store import ids
from ..store.filters import Filters
from ..store.ids import IdRange
from ..store.log_types import LogType
from ..store.queries import Query as Question
from ..store.scope import Scope
from ..store.usage import Grouping
from .answers import HOURS
from .arguments import Query, takes
from .auth import own_scope, requires
from .described import answers
from .responses import ApiError, saying, success
from .schemas import AllHours, OwnHours
from .state import current_state

bp = Blueprint("logservice_data", __name__)

_MONTH = 30 * ids.DAY
#: The longest range for administrators; new-api's pages ask for 30 days at most.
_YEAR = 366 * ids.DAY
_MOST_ROWS = 100_000
_OF_USERS = ("user_id", "username", "model_name")


@bp.get("", strict_slashes=False, merge_slashes=False)
@answers(HOURS)
@saying("获取统计信息失败")
@requires("admin")
@takes(AllHours)
def hours(query: Query) -> Response:
    """Hourly usage of the whole site by model, or of one user, as the dashboard of new-api reads it.

    全站每小时用量（兼容 new-api 的数据看板）。
    """
    start, end = _range(query)
    if end - start > _YEAR:
        raise ApiError(400, "start_timestamp: lies more than 366 days before end_timestamp")
    username = query.get("username")
    by = ("model_name",) if username is None else _OF_USERS
    return _hours(Scope.site(), Filters({"username": username}), by, (start, end))


@bp.get("/self", strict_slashes=False, merge_slashes=False)
@answers(HOURS)
@saying("获取统计信息失败")
@requires("user", "admin")
@takes(OwnHours)
def own_hours(query: Query) -> Response:
    """Hourly usage of the caller by model, of 30 days at most.

    自己的每小时用量，最多 30 天。
    """
    start, end = _range(query)
    if end - start > _MONTH:
        # The words that the pages know.
        raise ApiError(400, "start_timestamp: 时间跨度不能超过 1 个月")
    return _hours(own_scope(), Filters(), _OF_USERS, (start, end))


def _range(query: Query) -> tuple[int, int]:
    """Return the range: up to now and from 30 days before its end where nothing else is said."""
    end = query["end_timestamp"] or int(current_state().store.clock())
    return query["start_timestamp"] or end - _MONTH, end


def _hours(scope: Scope, filters: Filters, by: tuple[str, ...], span: tuple[int, int]) -> Response:
    question = Question(scope, filters.also(type=int(LogType.CONSUME)), _whole_hours(*span))
    grouping = Grouping(by, "hour", most=_MOST_ROWS)
    return success([_row(group) for group in current_state().store.usage(question, grouping).groups])


def _whole_hours(start: int, end: int) -> IdRange:
    """Return the ids of the hours that begin from `start` to `end`, both included."""
    first, last = -(-start // ids.HOUR) * ids.HOUR, end // ids.HOUR * ids.HOUR
    return ids.between(max(first, ids.MIN_SECOND), max(last + ids.HOUR - 1, ids.MIN_SECOND))


def _row(group: dict[str, Any]) -> dict[str, Any]:
    return {
        "user_id": group.get("user_id", 0),
        "username": group.get("username", ""),
        "model_name": group["model_name"],
        "created_at": group["start"],
        "token_used": group["prompt_tokens"] + group["completion_tokens"],
        "count": group["requests"],
        "quota": group["quota"],
    }

"""What the holder of an API key may ask, without a login and from any web origin."""

from __future__ import annotations

from flask import Blueprint, Response

from .answers import KEY_ROWS
from .arguments import Query, filters, span, takes
from .audiences import KEY
from .auth import key_scope, requires_key
from .described import answers
from .responses import saying, success
from .schemas import PAGE_SIZE, KeyLogs
from .state import current_state

bp = Blueprint("public", __name__)


@bp.get("/token", strict_slashes=False, merge_slashes=False)
@answers(KEY_ROWS)
@saying("获取日志失败")
@requires_key
@takes(KeyLogs)
def logs(query: Query) -> Response:
    """The rows of one API key, oldest first: the newest 1000, or one page of them.

    The key is the credential, as `key` or as `Authorization: Bearer sk-...`. A missing or unknown one is
    answered with 200 and `success: false`. Any web origin may ask.

    一个令牌（sk-）的日志，旧的在前。
    """
    state = current_state()
    limit, offset = state.settings.token_log_limit, 0
    page = query.get("p", 0)
    if page >= 1 or "page_size" in query:
        limit = query.get("page_size", PAGE_SIZE)
        offset = (max(page, 1) - 1) * limit
    rows = state.store.newest(
        key_scope(), filters(query), span(query), fields=KEY.fields, limit=limit, offset=offset
    )
    return success(KEY.show(rows)[::-1])

"""What the holder of an API key may ask, without a login and from any web origin."""

from __future__ import annotations

from flask import Blueprint, Response

from .arguments import Query, filters, span, takes
from .audiences import KEY
from .auth import key_scope, requires_key
from .responses import saying, success
from .schemas import PAGE_SIZE, KeyLogs
from .state import current_state

bp = Blueprint("public", __name__)


@bp.get("/token", strict_slashes=False, merge_slashes=False)
@saying("获取日志失败")
@requires_key
@takes(KeyLogs)
def logs(query: Query) -> Response:
    """Rows of the key's token, oldest first (existing pages reverse them): the newest, or one page of
    them.
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

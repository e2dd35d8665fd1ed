"""What the document says of itself and of its groups, in both languages."""

from __future__ import annotations

from typing import Any

DESCRIPTION = """\
The usage log of an LLM gateway: who used what, what it cost, and what failed.

Answers are JSON in one envelope: `{"success": true, "message": "", "data": ...}`, or
`{"success": false, "message": "..."}` for a failure, whose message names the parameter or the cause. Paths
answer with and without a slash at the end, and never redirect. An empty parameter counts as absent, and
unknown ones are ignored, except where something is deleted. Times are UTC epoch seconds. An unknown path is
answered with 404, an unknown method with 405 and `Allow`. Every answer has an `X-Request-ID`: the one that
was sent with the request if it is plain and short, or a new one.
"""
DESCRIPTION_ZH = """\
大模型网关的用量日志：谁用了什么、花了多少、哪些失败了。

所有回答都是同一种 JSON 格式：成功为 `{"success": true, "message": "", "data": ...}`，失败为
`{"success": false, "message": "..."}`，message 说明参数或原因。路径末尾有没有斜杠都可以，不会重定向。
未知路径返回 404，未知方法返回 405。时间为 UTC 秒级时间戳。
"""
LEGACY = """
`LOGSERVICE_LEGACY_STATUS` is on: a failure other than 401 has the status 200 as well.
"""

#: Blueprint: the group of its operations, what that is, and the same in Chinese. Others belong to SERVICE.
GROUPS: dict[str, tuple[str, str, str]] = {
    "logservice.public": ("Keys", "What the holder of an API key (`sk-...`) may ask.", "令牌（sk-）持有者"),
    "logservice.self": ("Own log", "What users may ask: their own rows.", "用户：自己的日志"),
    "logservice.admin": ("All logs", "What administrators may ask and do.", "管理员：全部日志"),
    "logservice_data": (
        "Dashboard",
        "Hourly usage for the dashboard of new-api.",
        "数据看板（兼容 new-api）",
    ),
    "logservice_events": ("Writing", "Where gateways send what was used.", "写入日志"),
    "logservice_sources": ("Writing", "Where gateways send what was used.", "写入日志"),
    "logservice_cloudevents": ("Writing", "Where gateways send what was used.", "写入日志"),
    "logservice_traces": ("Writing", "Where gateways send what was used.", "写入日志"),
    "logservice_page": ("Page", "The page for people, and its files.", "网页"),
    "logservice_docs": ("Document", "This document, and the page that shows it.", "接口文档"),
}
SERVICE = ("Service", "Whether the process and its database are well.", "服务状态")


def info(version: str, *, legacy_status: bool) -> dict[str, Any]:
    """Return what the document says of itself."""
    return {
        "title": "logservice",
        "version": version,
        "description": DESCRIPTION + (LEGACY if legacy_status else ""),
        "x-description-zh": DESCRIPTION_ZH,
    }


ACCESS_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "An access token, as `logservice user add` prints it. It may also stand without `Bearer`.",
}
KEY_IN_QUERY = {
    "type": "apiKey",
    "in": "query",
    "name": "key",
    "description": "An API key; its `sk-` may be missing.",
}
KEY_IN_HEADER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key as `Authorization: Bearer sk-...`.",
}

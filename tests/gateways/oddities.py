"""What an importer must not stumble over: each changes a row, and appears once in every filling."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.gateways.columns import Table

Row = dict[str, Any]
Oddity = Callable[[Row], Row]

#: An id that no user, token or channel has.
NOBODY = 999_999
HOUR = 3600
LONG_TEXT = "很长的内容，" * 30_000
LARGE_OTHER = json.dumps({"cache_tokens": 7, "frt": 900, "note": "x" * 70_000})

_EVERYWHERE: tuple[Row, ...] = (
    {"type": 0},
    {"type": 42},
    {"type": -1},
    {"created_at": 0},
    {"content": LONG_TEXT},
    {"content": "=1+1\t\"quoted\", 'single';\r\nsecond line 😀 \u202eback"},
    {"quota": -5000},
    {"quota": 3_000_000_000, "prompt_tokens": 2_500_000_000},
    {"prompt_tokens": 0, "completion_tokens": 0, "quota": 0},
    {"user_id": 0, "username": ""},
    {"user_id": NOBODY, "username": "gone-for-good"},
    {"username": "renamed since"},
    {"token_name": "no such token"},
    {"token_name": "名" * 191},
    {"channel_id": 0},
    {"channel_id": NOBODY},
    {"model_name": ""},
)
_ONE_API: tuple[Row, ...] = (
    {"elapsed_time": 86_400_000},
    {"elapsed_time": -1},
    {"system_prompt_reset": True},
    {"request_id": "r" * 191},
)
_NEW_API: tuple[Row, ...] = (
    {"use_time": 86_400},
    {"token_id": NOBODY},
    {"token_id": NOBODY, "token_name": ""},
    {"token_id": 0, "token_name": "playground-default"},
    {"other": ""},
    {"other": "null"},
    {"other": "{}"},
    {"other": "[1,2]"},
    {"other": '"text"'},
    {"other": '{"cache_tokens":12,"frt":'},
    {"other": "not json 不是"},
    {"other": LARGE_OTHER},
    {"other": '{"cache_tokens":"12","frt":"soon"}'},
    {"other": '{"cache_tokens":-1,"frt":-1000.5}'},
    {"other": '{"cache_tokens":1e30,"frt":null,"中文":"键 🔑"}'},
    {"other": '{"claude":true,"cache_tokens":5,"cache_creation_tokens":9,"cache_creation_ratio":1.25}'},
)
_NEW_API_2026: tuple[Row, ...] = (
    {"ip": "2001:db8::1"},
    {"ip": "not an address"},
    {"request_id": "r" * 64, "upstream_request_id": "u" * 128},
    # A retried request: the failed attempt and the good one bear the same id.
    {"request_id": "20250901083000retried"},
    {"request_id": "20250901083000retried"},
)


def oddities(table: Table) -> list[Oddity]:
    """Return the oddities of a table of logs, each a function from a row to what is different in it."""
    nullable = [column.name for column in table.columns if column.nullable]
    changes = [*_EVERYWHERE, *(_ONE_API if "elapsed_time" in table.names else _NEW_API)]
    if "ip" in table.names:
        changes += _NEW_API_2026
    changes += [{name: None} for name in nullable]
    changes.append(dict.fromkeys(nullable))
    return [_an_hour_early, *(_fixed(change) for change in changes)]


def _fixed(change: Row) -> Oddity:
    return lambda row: change


def _an_hour_early(row: Row) -> Row:
    return {"created_at": row["created_at"] - HOUR}

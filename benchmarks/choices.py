"""What to ask for, chosen from the rows themselves: a model, a user, a page, a request, a moment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from logservice.store.ids import DAY

from .yardstick import Statement, Yardstick

MODEL_RANK = 3
USER_RANK = 10
DEEP_MODEL_PAGE = 500
PAGE_SIZE = 20
#: Page 100,000 of 5 million rows begins after so large a share of them.
DEEP_SHARE = 0.4
PURGED_SHARE = 0.2
NOBODYS_MODEL = "no-such-model"
NOBODYS_KEYWORD = "nobody ever wrote this"

_REQUEST = re.compile(r"\(request id: (\w+)\)")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the operations ask for. `start` and `end` are the seven days."""

    start: int
    end: int
    model: str
    model_page: int
    user_id: int
    username: str
    foreign_model: str
    deep_page: int
    request_id: str
    purge_before: int

    def described(self) -> Iterator[str]:
        """Yield in sentences what was chosen."""
        yield f"model: {self.model}, {MODEL_RANK}rd in the 7 days; deep page {self.model_page:,}"
        yield f"user: {self.username}, {USER_RANK}th in the 7 days, who never used {self.foreign_model}"
        yield f"deep page of all rows: {self.deep_page:,}; rare keyword: {self.request_id}"


def choose(yardstick: Yardstick, *, rows: int, end: int) -> Choices:
    """Look at the rows and choose."""
    start = end - 7 * DAY
    ranked = _Ranks(yardstick, start, end)
    model, uses = ranked.at("model_name", MODEL_RANK)
    user_id, _ = ranked.at("user_id", USER_RANK)
    [username] = _first(yardstick, "SELECT username FROM logs WHERE user_id = ? LIMIT 1", user_id)
    [purge_before] = _first(yardstick, "SELECT created_at FROM logs WHERE id = ?", int(rows * PURGED_SHARE))
    return Choices(
        start=start,
        end=end,
        model=model,
        # With fewer rows the page would lie beyond the end, where there is nothing to read.
        model_page=max(1, min(DEEP_MODEL_PAGE, uses // PAGE_SIZE // 2)),
        user_id=user_id,
        username=username,
        foreign_model=_foreign_model(yardstick, user_id),
        deep_page=max(1, int(rows * DEEP_SHARE) // PAGE_SIZE),
        request_id=_request_id(yardstick, rows),
        purge_before=purge_before,
    )


class _Ranks:
    """Values of a column by the number of their rows between two seconds."""

    def __init__(self, yardstick: Yardstick, start: int, end: int) -> None:
        self._yardstick, self._span = yardstick, (start, end)

    def at(self, column: str, rank: int) -> tuple[Any, int]:
        """Return the value at a rank, from 1, or the last one, with its number of rows."""
        sql = (
            f"SELECT {column}, count(*) FROM logs WHERE type = 2 AND created_at BETWEEN ? AND ?"
            f" GROUP BY {column} ORDER BY 2 DESC, 1 LIMIT {rank}"
        )
        value, rows = self._yardstick.answer(Statement(sql, self._span))[-1]
        return value, rows


def _first(yardstick: Yardstick, sql: str, *values: Any) -> tuple[Any, ...]:
    return yardstick.answer(Statement(sql, values))[0]


def _foreign_model(yardstick: Yardstick, user_id: int) -> str:
    """Return the most used model that a user never used."""
    sql = "SELECT model_name FROM logs {} GROUP BY model_name ORDER BY count(*) DESC"
    of_all = yardstick.answer(Statement(sql.format("WHERE model_name <> ''")))
    own = set(yardstick.answer(Statement(sql.format("WHERE user_id = ?"), (user_id,))))
    found: str = next(row for row in of_all if row not in own)[0]
    return found


def _request_id(yardstick: Yardstick, rows: int) -> str:
    """Return the request id in the first error after the middle of the log."""
    sql = "SELECT content FROM logs WHERE id > ? AND type = 4 ORDER BY id LIMIT 1"
    [content] = _first(yardstick, sql, rows // 2)
    found: str = _REQUEST.findall(content)[0]
    return found

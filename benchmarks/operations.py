"""The reads that are measured: for each what the gateway asks its table, and what we ask the service."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from .choices import NOBODYS_KEYWORD, NOBODYS_MODEL, PAGE_SIZE, Choices
from .figures import Goal, Goals, both, times
from .rows import COLUMNS, Values
from .yardstick import Statement

CONSUME = 2
SEARCH_LIMIT = 100

#: All rows that the statements of an operation found, statement by statement.
Answers = Sequence[Sequence[Values]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A read. `truth` are statements whose answers must say the same as the data of our answer does."""

    key: str
    name: str
    goals: Goals
    statements: Sequence[Statement]
    truth: Sequence[Statement]
    path: str
    who: str
    expected: Callable[[Answers], Any]
    answered: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for; None leaves it open."""

    start: int | None = None
    end: int | None = None
    model: str | None = None
    username: str | None = None
    user_id: int | None = None

    def where(self, *more: str) -> tuple[str, Values]:
        """Return the condition on the gateway's table, with its values."""
        given = [(entry[1], getattr(self, entry[0])) for entry in _FILTERS]
        conditions = [sql for sql, value in given if value is not None] + list(more)
        values = tuple(value for _, value in given if value is not None)
        return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), values

    def query(self, **more: Any) -> str:
        """Return the query string for the service; whose rows they are it knows from the access token."""
        given = {name: getattr(self, field) for field, _, name in _FILTERS if name}
        return urlencode({name: value for name, value in {**given, **more}.items() if value is not None})


#: Field, condition on the gateway's table, parameter of the service.
_FILTERS = (
    ("user_id", "user_id = ?", ""),
    ("username", "username = ?", "username"),
    ("model", "model_name LIKE ?", "model_name"),
    ("start", "created_at >= ?", "start_timestamp"),
    ("end", "created_at <= ?", "end_timestamp"),
)


def operations(chosen: Choices) -> list[Operation]:
    """Return all reads, in the order of the result."""
    week = Asked(start=chosen.start, end=chosen.end)
    of_model = replace(week, model=chosen.model)
    of_user = replace(week, username=chosen.username)
    own = replace(week, user_id=chosen.user_id)
    nobodys = replace(week, model=NOBODYS_MODEL)
    foreign = replace(of_user, model=chosen.foreign_model)
    deep, deepest = chosen.model_page, chosen.deep_page
    nothing = {"sqlite": Goal("times", 5), "postgresql": Goal("below", 20)}
    return [
        _stat("stat-all", "everything", Asked(), goals=times(50, 50)),
        _stat("stat-week", "7 days", week, goals=times(50, 25)),
        _stat("stat-model", "7 days of one model", of_model, goals=times(50, 25)),
        _stat("stat-user", "7 days of one user", of_user, goals=times(15, 10)),
        _list("list-model", "7 days of one model", of_model, goals=times(50, 30)),
        _list("list-model-deep", "7 days of one model", of_model, goals=times(50, 30), page=deep),
        _list("list-all", "no filter", Asked(), goals=both("below", 5)),
        _list("list-all-deep", "no filter", Asked(), goals=times(3, 3), page=deepest),
        _list("list-own", "a user's own 7 days", own, goals=times(10, 10)),
        _list("list-nobodys", "7 days of a model that nobody has", nobodys, goals=nothing),
        _list("list-foreign", "7 days of a user and a model never used", foreign, goals=nothing),
        _search("search-none", "without a match", NOBODYS_KEYWORD),
        _search("search-rare", "one rare match", chosen.request_id),
    ]


def _stat(key: str, name: str, asked: Asked, *, goals: Goals) -> Operation:
    where, values = asked.where("type = ?")
    total = Statement(f"SELECT sum(quota) FROM logs{where}", (*values, CONSUME))
    where, values = replace(asked, start=int(time.time()) - 60, end=None).where("type = ?")
    rates = "count(*), sum(prompt_tokens) + sum(completion_tokens)"
    last_minute = Statement(f"SELECT {rates} FROM logs{where}", (*values, CONSUME))
    return Operation(
        key=key,
        name=f"stat: {name}",
        goals=goals,
        statements=[total, last_minute],
        truth=[total],
        path=f"/api/log/stat?{asked.query()}",
        who="admin",
        expected=lambda answers: answers[0][0][0] or 0,
        answered=lambda data: data["quota"],
    )


def _list(key: str, name: str, asked: Asked, *, goals: Goals, page: int = 1) -> Operation:
    where, values = asked.where()
    statements = [
        Statement(f"SELECT count(*) FROM logs{where}", values),
        Statement(
            f"SELECT * FROM logs{where} ORDER BY id DESC LIMIT ? OFFSET ?",
            (*values, PAGE_SIZE, (page - 1) * PAGE_SIZE),
        ),
    ]
    route, who = ("/api/log/", "admin") if asked.user_id is None else ("/api/log/self", "user")
    return Operation(
        key=key,
        name=f"list with total: {name}, page {page:,}",
        goals=goals,
        statements=statements,
        truth=statements,
        path=f"{route}?{asked.query(p=page, page_size=PAGE_SIZE)}",
        who=who,
        expected=lambda answers: (answers[0][0][0], _rows(answers[1])),
        answered=lambda data: (data["total"], [_comparable(item) for item in data["items"]]),
    )


def _search(key: str, name: str, keyword: str) -> Operation:
    sql = f"SELECT * FROM logs WHERE {{}} ORDER BY id DESC LIMIT {SEARCH_LIMIT}"
    # The gateway compares the type with the keyword, which PostgreSQL refuses for a text: so no row's type.
    own = Statement(sql.format("type = ? OR content LIKE ?"), (-1, f"{keyword}%"))
    # It looks at the beginning of contents only, ours anywhere: the truth are the rows that hold the keyword.
    truth = Statement(sql.format("content LIKE ?"), (f"%{keyword}%",))
    return Operation(
        key=key,
        name=f"keyword search: {name}",
        goals=times(30, 30),
        statements=[own],
        truth=[truth],
        path=f"/api/log/search?{urlencode({'keyword': keyword})}",
        who="admin",
        expected=lambda answers: _rows(answers[0]),
        answered=lambda data: [_comparable(item) for item in data],
    )


def _rows(found: Sequence[Values]) -> list[Mapping[str, Any]]:
    return [_comparable(dict(zip(("id", *COLUMNS), values, strict=True))) for values in found]


def _comparable(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what every audience sees of a row, as the service writes it."""
    names = (name for name in COLUMNS if name != "other")
    return {**{name: row[name] for name in names}, "is_stream": bool(row["is_stream"])}

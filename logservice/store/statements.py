"""Statements: what one user used in a month, what was refunded, and what is left to pay.

Everything comes from usage, so that a statement is the same after its rows were purged while their usage was
kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any
from zoneinfo import ZoneInfo

from . import ids, intervals
from .accounts import User
from .filters import Filters
from .largest import Ask
from .log_types import REQUEST_TYPES, LogType
from .queries import Query
from .scope import Scope
from .usage import Grouping

_TYPES = tuple(sorted({*REQUEST_TYPES, int(LogType.REFUND)}))
_MOST_LINES = 100_000


@dataclass(frozen=True, slots=True)
class Figures:
    """Calls, tokens and quota. `gross` is what calls cost, `refunds` what was given back."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    gross: int = 0
    refunds: int = 0

    @property
    def net(self) -> int:
        """What is left to pay."""
        return self.gross - self.refunds

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(getattr(self, name) + getattr(other, name) for name in _NAMES))


_NAMES = tuple(field.name for field in fields(Figures))


@dataclass(frozen=True, slots=True)
class Line:
    """The figures of one model under one token."""

    model_name: str
    token_name: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Statement:
    """The lines of a user from second `start` to before second `end`, by model and token."""

    user: User
    start: int
    end: int
    lines: tuple[Line, ...]

    @property
    def total(self) -> Figures:
        """The figures of all lines."""
        return sum((line.figures for line in self.lines), start=Figures())


def of_month(ask: Ask, user: User, month: str, tz: ZoneInfo) -> Statement:
    """Return the statement of a user over a month such as 2026-10, as a time zone counts it.

    `ask` gives usage by groups, as `LogStore.usage` does.

    Raises InvalidValue for what is no month.
    """
    start, end = intervals.month(month, tz)
    query = Query(Scope.user(user.id), Filters({"types": _TYPES}), ids.between(start, end - 1))
    grouping = Grouping(("model_name", "token_name", "type"), most=_MOST_LINES)
    return Statement(user, start, end, _lines(ask(query, grouping).groups))


def _lines(groups: Iterable[dict[str, Any]]) -> tuple[Line, ...]:
    found: dict[tuple[str, str], Figures] = defaultdict(Figures)
    for group in groups:
        found[group["model_name"], group["token_name"]] += _figures(group)
    # A line that says nothing would be gone once its rows are.
    said = {names: figures for names, figures in found.items() if figures != Figures()}
    return tuple(Line(*names, figures) for names, figures in sorted(said.items()))


def _figures(group: dict[str, Any]) -> Figures:
    """Return what the rows of one type add to a line."""
    if group["type"] == LogType.REFUND:
        return Figures(refunds=group["quota"])
    calls = Figures(requests=group["requests"], errors=group["errors"])
    if group["type"] != LogType.CONSUME:
        return calls
    names = ("prompt_tokens", "completion_tokens", "cached_tokens")
    return calls + Figures(**{name: group[name] for name in names}, gross=group["quota"])

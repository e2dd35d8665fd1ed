"""Rows of CSV files: cells that no spreadsheet takes for a formula, and the fields that cells stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidValue

# What a spreadsheet takes for the beginning of a formula, full-width forms included, and the mark by which it
# does not.
_MARK = "'"
_BEGINNINGS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", _MARK)
_RISKY = (*_BEGINNINGS, "\t", "\r", "\n")
# To one that cuts cells at semicolons or tabs, a cell may begin in the middle of a text, and a row at the end
# of a line: quotes count at the beginning of a cell only, where those of a text, written twice, open and end.
_BEGINNING = f"(?=[{re.escape(''.join(_BEGINNINGS))}])"
_INNER = re.compile(rf'([;\t\r\n]"*){_BEGINNING}')
_INNER_MARKED = re.compile(rf'([;\t\r\n]"*){_MARK}{_BEGINNING}')

_COUNTS = frozenset(
    {
        *("id", "user_id", "token_id", "channel_id", "channel", "quota", "prompt_tokens"),
        *("completion_tokens", "cached_tokens", "use_time_ms", "first_token_ms"),
    }
)
_NUMBERS = frozenset({"created_at", "use_time"})
_FLAGS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def harmless(text: str) -> str:
    """Return a text as it goes into a cell: an apostrophe before whatever would be taken for a formula."""
    if _INNER.search(text):  # to look first takes a quarter of the time
        text = _INNER.sub(rf"\1{_MARK}", text)
    return _MARK + text if text.startswith(_RISKY) else text


def original(cell: str) -> str:
    """Return the text that `harmless` made a cell of."""
    text = cell[1:] if cell.startswith(_MARK) and cell[1:].startswith(_RISKY) else cell
    return _INNER_MARKED.sub(r"\1", text)


def fields(cells: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of an event: numbers and flags read, texts as they were, empty cells left out.

    Raises InvalidValue, naming the column, for a cell that is no number where one must be.
    """
    return {name: _field(name, cell) for name, cell in cells.items() if cell != ""}


def _field(name: str, cell: str) -> Any:
    if name in _COUNTS:
        return _count(name, cell)
    if name in _NUMBERS:
        return _number(name, cell)
    if name == "is_stream":
        return _flag(cell)
    return original(cell)


def _count(name: str, cell: str) -> int:
    try:
        return int(_plain(cell))
    except ValueError:
        raise InvalidValue(f"{name}: {cell[:40]!r} is no whole number") from None


def _number(name: str, cell: str) -> float | str:
    """Return a number; a time may also be written as ISO 8601."""
    try:
        return float(_plain(cell))
    except ValueError:
        if name == "created_at":
            return cell
        raise InvalidValue(f"{name}: {cell[:40]!r} is no number") from None


def _plain(cell: str) -> str:
    """Return a number without what only Python reads as one."""
    return "" if "_" in cell else cell


def _flag(cell: str) -> bool:
    try:
        return _FLAGS[cell.strip().lower()]
    except KeyError:
        raise InvalidValue(f"is_stream: {cell[:40]!r} is neither true nor false") from None

"""The kinds of log rows, by number and by name."""

from __future__ import annotations

import enum
import re

from ..errors import InvalidValue


class LogType(enum.IntEnum):
    """Numbers 1 to 5 are those of the specification; 6 and 7 go beyond it.

    new-api's own database numbers error 5 and system 4: its importer swaps them.
    """

    TOPUP = 1
    CONSUME = 2
    MANAGE = 3
    ERROR = 4
    SYSTEM = 5
    REFUND = 6
    LOGIN = 7


#: The rows that stand for a call to a model: what `requests`, `rpm` and error rates count.
REQUEST_TYPES = (int(LogType.CONSUME), int(LogType.ERROR))

_CHINESE = {
    "充值": LogType.TOPUP,
    "消费": LogType.CONSUME,
    "管理": LogType.MANAGE,
    "错误": LogType.ERROR,
    "系统": LogType.SYSTEM,
    "退款": LogType.REFUND,
    "登录": LogType.LOGIN,
}
_BY_NAME = {kind.name.lower(): kind for kind in LogType} | _CHINESE
#: The usual spellings, which most events use.
_USUAL: dict[int | str, LogType] = {kind.value: kind for kind in LogType}
_USUAL.update(_BY_NAME)
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)

NAMES = {int(kind): kind.name.lower() for kind in LogType}


def parse(value: int | str) -> LogType:
    """Return the type that a number, its digits, or a name in English or Chinese stands for.

    Raises InvalidValue for anything else, 0 included: what 0 means is for the caller to say.
    """
    found = _USUAL.get(value) or keyword_type(str(value))
    if found is None:
        names = ", ".join(f"{kind.value} {kind.name.lower()}" for kind in LogType)
        raise InvalidValue(f"type: unknown type {str(value)[:40]!r}; known are {names}")
    return found


def spellings() -> list[str]:
    """Return how types may be written, as numbers and as names in English and Chinese."""
    return [*map(str, NAMES), *_BY_NAME]


def keyword_type(text: str) -> LogType | None:
    """Return the type named by a search keyword, or None when it is an ordinary word."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = int(text)
        return LogType(number) if number in NAMES else None
    return _BY_NAME.get(text.lower())


def nameless(value: int | str) -> int | None:
    """Return a 64-bit number that is none of a type, as gateways have them; None for whatever else."""
    text = str(value).strip()
    number = int(text) if _NUMBER.fullmatch(text) else 0
    return number if number not in (0, *NAMES) and -(2**63) <= number < 2**63 else None

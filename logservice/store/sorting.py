"""The rule for several events at once: the valid ones are stored, the others are named by index."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidValue
from .records import Record

#: Makes a clean record of one event at a time in epoch seconds, or raises InvalidValue.
Read = Callable[[Any, float], Record]


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that is not stored: its place among those that came with it, from 0, and the reason."""

    index: int
    message: str


def sorted_out(events: Iterable[Any], read: Read, now: float) -> tuple[list[Record], list[Rejected]]:
    """Return the records of the valid events, and what is wrong with each of the others."""
    accepted: list[Record] = []
    rejected: list[Rejected] = []
    for index, event in enumerate(events):
        try:
            accepted.append(read(event, now))
        except InvalidValue as error:
            rejected.append(Rejected(index, str(error)))
        except RecursionError:
            rejected.append(Rejected(index, "nested too deeply"))
    return accepted, rejected

"""Work that is handed to the writing thread: what it claims, whether it was taken up, what became of it."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Does work for several items at once and returns a result for each, in order; an exception among the results
#: is raised for that item alone. It may be called again with fewer items after a transaction that failed.
Work = Callable[[Connection, Sequence[Item]], Sequence[Result | Exception]]


class Claim(NamedTuple):
    """What a piece of work must have for itself, or may share, among all writers until it is committed."""

    name: str
    shared: bool = False


class State(enum.Enum):
    """Whether a piece of work may still be withdrawn."""

    QUEUED = 1
    TAKEN = 2
    WITHDRAWN = 3


@dataclass(slots=True, eq=False)
class Job:
    """A piece of work, and later its result or its error."""

    work: Work[Any, Any]
    item: Any
    claims: frozenset[Claim]
    is_long: bool
    since: float = field(default_factory=time.monotonic)
    state: State = State.QUEUED
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: Exception | None = None

    def take_up(self) -> bool:
        """Have nobody withdraw it any more, and return whether it is to be done."""
        if self.state is State.QUEUED:
            self.state = State.TAKEN
        return self.state is State.TAKEN

    def settle(self, outcome: Any) -> None:
        """Take a result, or an exception in its place."""
        failed = isinstance(outcome, Exception)
        self.error, self.result = (outcome, None) if failed else (None, outcome)

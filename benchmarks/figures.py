"""Figures and goals: what was measured for an operation, and what it had to show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit for one side of a figure, in words and as a rule."""

    kind: str
    limit: float

    def __str__(self) -> str:
        return _KINDS[self.kind][0].format(self.limit)

    def reached(self, figure: Figure) -> bool:
        """Whether a figure keeps to it; a figure without a ratio reaches no goal for one."""
        _, measured, sign = _KINDS[self.kind]
        value = getattr(figure, measured)
        return value is not None and value * sign >= self.limit * sign


#: Words, what is compared with the limit, and whether more (1) or less (-1) is wanted.
_KINDS = {
    "times": ("{:g}x", "ratio", 1),
    "share": ("at most {:g}", "ratio", -1),
    "below": ("at most {:g}", "ours", -1),
    "p99 below": ("p99 at most {:g}", "p99", -1),
}

#: By engine; one that is missing has no goal.
Goals = Mapping[str, Goal]


def both(kind: str, limit: float) -> Goals:
    """The same goal on both engines."""
    return {"sqlite": Goal(kind, limit), "postgresql": Goal(kind, limit)}


def times(sqlite: float, postgresql: float) -> Goals:
    """So many times better than the yardstick."""
    return {"sqlite": Goal("times", sqlite), "postgresql": Goal("times", postgresql)}


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result. `key` is the same in every run; `compared` figures may not grow with the rows.

    The ratio is how many times better ours is, or for sizes our share of the yardstick's.
    """

    key: str
    name: str
    unit: str
    ours: float
    yardstick: float | None = None
    p99: float | None = None
    ratio: float | None = None
    goal: Goal | None = None
    note: str = ""
    compared: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached, if there is one."""
        return None if self.goal is None else self.goal.reached(self)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that so many of all, from 0 to 1, do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]

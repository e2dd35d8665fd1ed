"""Measuring a read: the gateway's statements alone, then whole requests to the service."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from .figures import Figure, percentile
from .operations import Operation
from .plan import Effort, Stage
from .yardstick import Yardstick

FEWEST = 3
WARMING = 2


class Disagreement(Exception):
    """The service says something else than the rows do."""


def read(stage: Stage, yardstick: Yardstick, operation: Operation) -> list[Figure]:
    """Measure one read. Raises Disagreement when the answer is wrong: being fast then counts for nothing."""
    _compare(stage, yardstick, operation)
    theirs = median(_yardstick_times(yardstick, operation, stage.plan.effort))
    ours = _our_times(stage, operation)
    figure = Figure(
        key=operation.key,
        name=operation.name,
        unit="ms",
        yardstick=theirs,
        ours=median(ours),
        p99=percentile(ours, 0.99),
        ratio=theirs / median(ours),
        goal=operation.goals.get(stage.plan.engine),
        compared=True,
    )
    return [figure]


def _compare(stage: Stage, yardstick: Yardstick, operation: Operation) -> None:
    expected = operation.expected([yardstick.answer(statement) for statement in operation.truth])
    with stage.service.call(operation.who) as caller:
        answered = operation.answered(caller.data(operation.path))
    if answered != expected:
        raise Disagreement(f"{operation.name}: {answered!r}, where the rows say {expected!r}")


def _yardstick_times(yardstick: Yardstick, operation: Operation, effort: Effort) -> list[float]:
    def work() -> None:
        for statement in operation.statements:
            yardstick.answer(statement)

    work()
    taken: list[float] = []
    until = time.monotonic() + effort.yardstick_seconds
    while len(taken) < FEWEST or (len(taken) < effort.repeats and time.monotonic() < until):
        taken.append(_milliseconds(work))
    return taken


def _our_times(stage: Stage, operation: Operation) -> list[float]:
    # A connection of its own: the service closes one that was idle while the yardstick was measured.
    with stage.service.call(operation.who) as caller:

        def work() -> None:
            caller.raw(operation.path)

        for _ in range(WARMING):
            work()
        return [_milliseconds(work) for _ in range(stage.plan.effort.repeats)]


def _milliseconds(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000

"""Measuring posts of a thousand events against a thousand inserts a commit, at the same durability."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import TypeVar

from logservice.cli.output import progress

from .figures import Figure, times
from .plan import Stage
from .rows import batches, ndjson, values_of
from .together import GoOn, together

BATCH = 1000
CONNECTIONS = (1, 2, 4)

T = TypeVar("T")
Advance = Callable[[int], None]


class Lost(Exception):
    """Something acknowledged is not there, or more is than was acknowledged."""


def batch_writes(stage: Stage) -> list[Figure]:
    """Measure posts of a thousand events over one and over several connections."""
    steps = stage.plan.effort.batches * (1 + len(CONNECTIONS))
    with progress("Writing by the thousand", steps) as advance:
        theirs = _yardstick_rate(stage, advance)
        return [_figure(stage, connections, advance, theirs=theirs) for connections in CONNECTIONS]


def confirm(stage: Stage, total: int) -> None:
    """Compare the number of rows that the service tells with what it ought to be."""
    found = stage.service.total()
    if found != total:
        raise Lost(f"there are {found:,} rows where {total:,} were acknowledged")


def until_late(waiting: deque[T], seconds: float) -> Iterator[T]:
    """Yield what waits, shared with whoever else takes from it, until nothing is left or time is up."""
    end = time.monotonic() + seconds
    while waiting and time.monotonic() < end:
        try:
            yield waiting.popleft()
        except IndexError:
            return


def _figure(stage: Stage, connections: int, advance: Advance, *, theirs: float) -> Figure:
    before = stage.service.total()
    stored, seconds = _post(stage, connections, advance)
    confirm(stage, before + stored)
    ours = stored / seconds
    return Figure(
        key=f"batches-{connections}",
        name=f"NDJSON posts of {BATCH:,} events, {connections} at a time",
        unit="rows/s",
        yardstick=theirs,
        ours=ours,
        ratio=ours / theirs,
        goal=times(2, 1.5)[stage.plan.engine],
    )


def _yardstick_rate(stage: Stage, advance: Advance) -> float:
    fresh = islice(stage.fresh_yardstick, stage.plan.effort.batches * BATCH)
    waiting = deque([values_of(row) for row in batch] for batch in batches(fresh, BATCH))
    written = 0
    with closing(stage.pair.yardstick(writing=True)) as yardstick:
        begun = time.perf_counter()
        for batch in until_late(waiting, stage.plan.effort.write_seconds):
            yardstick.add_all(batch)
            written += len(batch)
            advance(1)
        return written / (time.perf_counter() - begun)


def _post(stage: Stage, connections: int, advance: Advance) -> tuple[int, float]:
    """Post all bodies and return how many events were stored, in how many seconds."""
    fresh = islice(stage.fresh_ours, stage.plan.effort.batches * BATCH)
    waiting = deque(map(ndjson, batches(fresh, BATCH)))

    def client(go_on: GoOn) -> int:
        stored = 0
        with stage.service.call("writer") as caller:
            for body in until_late(waiting, stage.plan.effort.write_seconds):
                stored += caller.post(body)
                advance(1)
                if not go_on():
                    break
        return stored

    begun = time.perf_counter()
    stored = sum(together([client] * connections))
    return stored, time.perf_counter() - begun

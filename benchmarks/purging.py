"""Measuring a purge against one DELETE, and how long other clients' posts take meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import cycle, islice

import orjson

from logservice.cli.output import progress

from .calling import JSON, PATIENCE
from .figures import Figure, both, percentile, times
from .plan import Stage
from .reading import Disagreement

CLIENTS = 4
POSTS_PER_SECOND = 50
#: Posts begin so many seconds before the purge, to be in full swing when it starts.
HEAD_START = 0.2


def purge(stage: Stage) -> list[Figure]:
    """Purge the oldest rows of both sides. This comes last: it destroys what the others measure."""
    with progress("Purging", 2) as advance:
        deleted, theirs = _purge_yardstick(stage)
        advance(1)
        purged, ours, waits = _purge_ours(stage)
        advance(1)
    if purged != deleted:
        raise Disagreement(f"the service purged {purged:,} rows, the yardstick {deleted:,}")
    purging = Figure(
        key="purge",
        name=f"purge of {deleted:,} rows",
        unit="s",
        yardstick=theirs,
        ours=ours,
        ratio=theirs / ours,
        goal=times(2, 1)[stage.plan.engine],
    )
    return [purging, _posts(stage, waits)]


def _posts(stage: Stage, waits: Sequence[float]) -> Figure:
    return Figure(
        key="purge-posts",
        name=f"other clients' posts during it, {POSTS_PER_SECOND} a second",
        unit="ms",
        ours=percentile(waits, 0.5),
        p99=percentile(waits, 0.99),
        goal=both("p99 below", 300)[stage.plan.engine],
        note=f"{len(waits):,} posts, the longest took {max(waits):,.0f} ms",
    )


def _purge_yardstick(stage: Stage) -> tuple[int, float]:
    with closing(stage.pair.yardstick(writing=True)) as yardstick:
        begun = time.perf_counter()
        deleted = yardstick.delete_older(stage.chosen.purge_before)
        return deleted, time.perf_counter() - begun


def _purge_ours(stage: Stage) -> tuple[int, float, list[float]]:
    """Return how many rows went, in how many seconds, and the milliseconds that each post took meanwhile."""
    bodies = [orjson.dumps(row) for row in islice(stage.fresh_ours, 1000)]
    done = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(_post, stage, bodies, done, place=place) for place in range(CLIENTS)]
        try:
            time.sleep(HEAD_START)
            purged, seconds = _purge(stage)
        finally:
            done.set()
    return purged, seconds, [wait for client in clients for wait in client.result()]


def _purge(stage: Stage) -> tuple[int, float]:
    path = f"/api/log/?target_timestamp={stage.chosen.purge_before}"
    with stage.service.call() as caller:
        begun = time.perf_counter()
        purged: int = caller.data(path, method="DELETE")
        return purged, time.perf_counter() - begun


def _post(stage: Stage, bodies: Sequence[bytes], done: threading.Event, *, place: int) -> list[float]:
    """Post at an even pace until the purge is done, and return the milliseconds that each post took.

    They count from the moment it was due: one that is held up must not hide that others wait behind it.
    """
    period = CLIENTS / POSTS_PER_SECOND
    begun = time.perf_counter() + place / POSTS_PER_SECOND
    most = int(PATIENCE / period)
    waits: list[float] = []
    with stage.service.call("writer") as caller:
        for turn, body in enumerate(islice(cycle(bodies), place, place + most)):
            due = begun + turn * period
            if done.wait(max(0.0, due - time.perf_counter())):
                break
            caller.post(body, content=JSON)
            waits.append((time.perf_counter() - due) * 1000)
    return waits

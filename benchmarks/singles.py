"""Measuring posts of a single event against one commit for each row."""

from __future__ import annotations

import time
from collections import deque
from contextlib import closing
from functools import partial
from itertools import islice

import orjson

from logservice.cli.output import progress

from .figures import Figure, percentile, times
from .plan import Stage
from .posting import Posts, post_each, request
from .rows import Values, values_of
from .together import GoOn, together
from .writing import confirm, until_late

CONNECTIONS = 32
#: Over how many connections the yardstick writes; SQLite lets only one write at a time.
YARDSTICK_CONNECTIONS = {"sqlite": (1,), "postgresql": (1, CONNECTIONS)}


def single_writes(stage: Stage) -> list[Figure]:
    """Measure posts of one event each over many connections, against one connection of the yardstick."""
    ways = YARDSTICK_CONNECTIONS[stage.plan.engine]
    with progress("Writing one by one", len(ways) + 1) as advance:
        theirs = []
        for connections in ways:
            theirs.append(_yardstick_rate(stage, connections))
            advance(1)
        posts = _post(stage)
        advance(1)
    pairs = zip(ways, theirs, strict=True)
    return [_figure(stage, posts, connections=connections, theirs=rate) for connections, rate in pairs]


def _figure(stage: Stage, posts: Posts, *, connections: int, theirs: float) -> Figure:
    ours = len(posts.milliseconds) / posts.seconds
    against = f", against {connections}" if connections > 1 else ""
    half, most = (percentile(posts.milliseconds, share) for share in (0.5, 0.99))
    return Figure(
        key=f"singles-{connections}",
        name=f"single-event posts, {CONNECTIONS} connections{against}",
        unit="rows/s",
        yardstick=theirs,
        ours=ours,
        ratio=ours / theirs,
        goal=times(3, 1)[stage.plan.engine] if connections == 1 else None,
        note=f"p50 {half:.1f} ms, p99 {most:.1f} ms; client {posts.processor_share:.0%} of a processor",
    )


def _post(stage: Stage) -> Posts:
    effort, service = stage.plan.effort, stage.service
    rows = islice(stage.fresh_ours, effort.singles)
    requests = [request(service.logins.writer, orjson.dumps(row)) for row in rows]
    before = service.total()
    posts = post_each(service.port, requests, connections=CONNECTIONS, seconds=effort.write_seconds)
    confirm(stage, before + len(posts.milliseconds))
    return posts


def _yardstick_rate(stage: Stage, connections: int) -> float:
    """Return the rows per second that the yardstick commits one by one."""
    rows = deque(map(values_of, islice(stage.fresh_yardstick, stage.plan.effort.singles)))
    begun = time.perf_counter()
    written = sum(together([partial(_add_singly, stage, rows)] * connections))
    return written / (time.perf_counter() - begun)


def _add_singly(stage: Stage, rows: deque[Values], go_on: GoOn) -> int:
    written = 0
    with closing(stage.pair.yardstick(writing=True)) as yardstick:
        for row in until_late(rows, stage.plan.effort.write_seconds):
            yardstick.add(row)
            written += 1
            if not go_on():
                break
    return written

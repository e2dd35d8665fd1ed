"""Each worker keeps to one processor, with all of its threads: what nginx calls `worker_cpu_affinity auto`.

Of the threads of a process one computes Python at a time. Spread over processors they hand that right from
one to another, which has to wake up first, and finds nothing of what they work with in its cache. Where there
are more processors than workers it is left to the system: SQLite computes beside Python, on whatever is free.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

_CAN_CHOOSE = hasattr(os, "sched_setaffinity")


def pre_fork(server: Any, worker: Any) -> None:
    """Choose a processor for a worker that is about to begin, one of those that the fewest others have.

    Any of them, so that two services on a machine do not both choose the first. Workers that a reload is
    about to end have another configuration, and only decide between those that are alike otherwise.
    """
    worker.processor = None
    try:
        allowed = sorted(os.sched_getaffinity(0)) if _CAN_CHOOSE else []
    except OSError as error:
        server.log.warning("workers run on any processor: %s", error)
        return
    if allowed and server.num_workers >= len(allowed):
        others = server.WORKERS.values()
        beside, every = _taken(one for one in others if one.cfg is worker.cfg), _taken(others)
        fewest = min((beside[one], every[one]) for one in allowed)
        among = [one for one in allowed if (beside[one], every[one]) == fewest]
        worker.processor = random.choice(among)  # nosec B311 # to guess it is of no use


def post_fork(_server: Any, worker: Any) -> None:
    """Keep this process to its processor; where that is refused, any will do, which the log says."""
    processor = getattr(worker, "processor", None)
    if processor is not None:
        try:
            os.sched_setaffinity(0, {processor})
        except OSError as error:
            worker.processor = None
            worker.log.warning("the worker runs on any processor: %s", error)


def _taken(workers: Iterable[Any]) -> Counter[int | None]:
    """Return how many workers have each processor."""
    return Counter(getattr(worker, "processor", None) for worker in workers)

"""Each worker keeps to one processor, with all of its threads: what nginx calls `worker_cpu_affinity auto`.

Of the threads of a process one computes at a time. Spread over processors they hand that right from one to
another, which has to wake up first, and finds nothing of what they work with in its cache.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any

_CAN_CHOOSE = hasattr(os, "sched_setaffinity")


def pre_fork(server: Any, worker: Any) -> None:
    """Choose a processor for a worker that is about to begin, one of those that the fewest others have.

    Any of them, so that two services on a machine do not both choose the first.
    """
    if _CAN_CHOOSE:
        taken = Counter(other.processor for other in server.WORKERS.values())
        allowed = sorted(os.sched_getaffinity(0))
        fewest = min(taken[one] for one in allowed)
        among = [one for one in allowed if taken[one] == fewest]
        worker.processor = random.choice(among)  # nosec B311 # to guess it is of no use


def post_fork(_server: Any, worker: Any) -> None:
    """Keep this process to its processor; where that is refused, any will do, which the log says."""
    if _CAN_CHOOSE:
        try:
            os.sched_setaffinity(0, {worker.processor})
        except OSError as error:
            worker.log.warning("the worker runs on any processor: %s", error)

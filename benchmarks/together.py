"""Several clients at once: one thread for each, all of them ended before the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

#: Asks a client to go on: false once another one failed, or somebody lost patience.
GoOn = Callable[[], bool]


def together(clients: Sequence[Callable[[GoOn], T]]) -> list[T]:
    """Run all clients at the same time and return what they return; the first failure stops all."""
    stop = threading.Event()

    def run(client: Callable[[GoOn], T]) -> T:
        try:
            return client(lambda: not stop.is_set())
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(len(clients)) as pool:
        try:
            return list(pool.map(run, clients))
        finally:
            stop.set()

"""Giving the space of deleted rows back to the file system, where the engine does not by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .store import LogStore

#: Pages that are given back at once: about ten milliseconds of work.
PAGES = 1_000


def give_back(store: LogStore, *, between: Callable[[], None]) -> None:
    """Give free pages back, in steps between which others write and `between` is called."""
    step: Callable[..., bool] = partial(store.dialect.give_back, pages=PAGES)
    while store.write(step, is_long=True):
        between()
    # What was given back lies in the write-ahead log until that is folded back.
    store.size()

"""What becomes of stores when their process is forked, as servers and task queues do it.

SQLite keeps note, in the memory of a process, of the locks it holds. A child forked in the middle of a
transaction inherits the note without the lock, and takes the database for locked for ever. So a fork waits
for the transaction under way; and the child begins anew before its own threads can meet in a store, or wait
for a lock that a thread of its parent held.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """What lives through a fork."""

    def rest(self) -> None:
        """Finish what is under way and begin nothing more until the fork is over."""

    def go_on(self) -> None:
        """Go on in the parent."""

    def begin_anew(self) -> None:
        """Leave behind, in the child, what belongs to the parent: connections, threads and locks."""


_known: weakref.WeakSet[Forked] = weakref.WeakSet()


def watch(store: Forked) -> None:
    """Have a store told of every fork as long as it lives."""
    _known.add(store)


def _rest() -> None:
    for store in list(_known):
        store.rest()


def _go_on() -> None:
    for store in list(_known):
        store.go_on()


def _begin_anew() -> None:
    for store in list(_known):
        store.begin_anew()


os.register_at_fork(before=_rest, after_in_parent=_go_on, after_in_child=_begin_anew)

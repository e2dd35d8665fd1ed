"""What becomes of stores when their process is forked, as servers and task queues do it.

SQLite keeps note, in the memory of a process, of the locks it holds. A child inherits the notes without the
locks: it takes for locked what nobody holds, and for safe what anybody may take away. So before a fork what
is under way is finished and connections are closed; and the child begins anew before its own threads can
meet in a store, or wait for a lock that a thread of its parent held.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

#: How long a fork waits for what takes no time unless something is wrong.
MOMENT_SECONDS = 2.0
log = logging.getLogger("logservice")


class Forked(Protocol):
    """What lives through a fork."""

    def rest(self) -> None:
        """Finish what is under way and begin nothing more until the fork is over; wait for bounded time."""

    def go_on(self) -> None:
        """Go on in the parent."""

    def begin_anew(self) -> None:
        """Leave behind, in the child, what belongs to the parent: connections, threads and locks."""


class Gate:
    """Lets in any number of threads at once, and nobody new while it is shut for a fork."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: Counter[int] = Counter()
        self._shut = 0

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be inside. Who is inside already may enter again at any time, for a fork waits for it to leave."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: not self._shut or self._inside[me])
            self._inside[me] += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[me] -= 1
                if not self._inside[me]:
                    del self._inside[me]
                    self._changed.notify_all()

    def shut(self, timeout: float) -> int:
        """Wait up to `timeout` seconds until no other thread is inside; return how many entries are left."""
        me = threading.get_ident()
        with self._changed:
            self._shut += 1
            self._changed.wait_for(lambda: self._inside.keys() <= {me}, timeout)
            return self._inside.total()

    def open(self) -> None:
        """Let in again who wants to, unless another thread forks as well."""
        with self._changed:
            self._shut -= 1
            self._changed.notify_all()

    def begin_anew(self) -> None:
        """Forget in a child the threads that it does not have."""
        me = threading.get_ident()
        self._changed = threading.Condition()
        self._inside = Counter({me: self._inside[me]}) if self._inside[me] else Counter()
        self._shut = 0


class Lock:
    """A lock that is not held by threads a child does not have."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rests = threading.local()
        with _listing:
            _locks.add(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock."""
        # In a child that is forked meanwhile, it is the old one that has to be released.
        lock = self._lock
        with lock:
            yield

    def rest(self) -> None:
        """Hold the lock while the process is forked."""
        self._rests.held = self._lock.acquire(timeout=MOMENT_SECONDS)
        if not self._rests.held:
            log.warning(
                "the process is forked while a lock is held; what it guards may be amiss in the child"
            )

    def go_on(self) -> None:
        """Release it again, in the parent."""
        if getattr(self._rests, "held", False):
            self._rests.held = False
            self._lock.release()

    def begin_anew(self) -> None:
        """Have a new lock in the child."""
        self._lock = threading.Lock()
        self._rests = threading.local()


_listing = threading.Lock()
_known: weakref.WeakSet[Forked] = weakref.WeakSet()
_locks: weakref.WeakSet[Lock] = weakref.WeakSet()
# What a thread that forks has told to rest: stores and locks may come into being meanwhile.
_resting = threading.local()


def watch(store: Forked) -> None:
    """Have a store told of every fork as long as it lives."""
    with _listing:
        _known.add(store)


def _all() -> list[Forked]:
    """Return stores before locks: a store that finishes what is under way needs them."""
    return [*_known, *_locks]


def _tell(found: Iterable[Forked], tell: Callable[[Forked], None]) -> None:
    for forked in found:
        try:
            tell(forked)
        except Exception:
            log.exception("a fork of the process disturbed the log")


def _rest() -> None:
    with _listing:
        _resting.found = _all()
    _tell(_resting.found, lambda forked: forked.rest())


def _go_on() -> None:
    _tell(reversed(_resting.__dict__.pop("found", [])), lambda forked: forked.go_on())


def _begin_anew() -> None:
    global _listing
    # A thread of the parent may have held it.
    _listing = threading.Lock()
    _resting.__dict__.pop("found", None)
    _tell(reversed(_all()), lambda forked: forked.begin_anew())


os.register_at_fork(before=_rest, after_in_parent=_go_on, after_in_child=_begin_anew)

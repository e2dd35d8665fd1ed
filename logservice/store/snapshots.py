"""One snapshot for all that a request reads: to begin another takes as many steps as a short question.

Between those steps other threads of the process have their turn, and on PostgreSQL each is a message to the
server and one back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from .prepared import Reader


class Snapshots(threading.local):
    """Gives a thread a snapshot for each question, or within `shared` the same for all of them."""

    def __init__(self) -> None:
        """Begin none."""
        self._sharing: ExitStack | None = None
        self._found: Reader | None = None

    @contextmanager
    def one(self, begin: Callable[[], AbstractContextManager[Reader]]) -> Iterator[Reader]:
        """Give what `begin` does: its own, or the one that is shared, begun by the first who asks."""
        if self._sharing is None:
            with begin() as reader:
                yield reader
            return
        if self._found is None:
            self._found = self._sharing.enter_context(begin())
        try:
            yield self._found
        except BaseException:
            # PostgreSQL answers nothing more in a transaction in which a statement has failed.
            self._end()
            raise

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Share one snapshot within the block, in this thread; in a block within the block it is the same."""
        if self._sharing is not None:
            yield
            return
        self._sharing = ExitStack()
        try:
            yield
        finally:
            try:
                self._end()
            finally:
                self._sharing = None

    def _end(self) -> None:
        self._found = None
        if self._sharing is not None:
            self._sharing.close()

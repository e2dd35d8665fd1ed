"""What waits to be delivered, bounded, and the count of everything that was recorded.

One lock guards it. Recording holds it for a few instructions, and so does the thread that delivers: nothing
is written, sent or logged under it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .limits import Limits
from .lines import Unwritable

#: More refusals than this, not yet reported, are counted only.
_MOST_UNREPORTED = 1000


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of everything that was recorded; `recorded` is the sum of the others."""

    recorded: int = 0
    #: The service said that these are on disk.
    stored: int = 0
    #: Not written as JSON, or refused by the service.
    refused: int = 0
    #: Recorded while the buffer was full.
    dropped_full: int = 0
    #: Recorded after `close`, or not acknowledged when it gave up.
    dropped_closed: int = 0
    #: Still to be answered for.
    waiting: int = 0

    @property
    def dropped(self) -> int:
        """All that were given up without being refused."""
        return self.dropped_full + self.dropped_closed


class Buffer:
    """Lines in the order of their recording. Re-entrant, since a signal handler may record as well."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        lock = threading.RLock()
        #: The thread that delivers waits here; callers that wait for it do so at the other one.
        self._work = threading.Condition(lock)
        self._settled = threading.Condition(lock)
        self._lines: deque[bytes] = deque()
        self._unwritable: deque[Unwritable] = deque()
        self._unreported = 0
        # Those that the service has not answered for: waiting here, or on their way.
        self._held = self._held_bytes = 0
        self._recorded = self._stored = self._refused = self._dropped_full = self._dropped_closed = 0
        # How many lines came in and went for good, in order: what a flush waits for.
        self._entered = self._left = self._wanted = 0
        self._hurried = self._last_call = False
        self._closed = self._abandoned = False

    # -- callers -------------------------------------------------------------------------------------------

    def add(self, line: bytes) -> bool:
        """Keep a line, or count it as dropped and return False."""
        limits = self._limits
        with self._work:
            self._recorded += 1
            if self._closed:
                self._dropped_closed += 1
                return False
            if self._held >= limits.max_events or self._held_bytes + len(line) > limits.max_bytes:
                self._dropped_full += 1
                return False
            self._held += 1
            self._held_bytes += len(line)
            self._entered += 1
            self._lines.append(line)
            if len(self._lines) in (1, limits.batch_events):
                self._work.notify()
            return True

    def refuse(self, unwritable: Unwritable) -> None:
        """Count an event that cannot be sent, and keep it for the report."""
        with self._work:
            self._recorded += 1
            self._refused += 1
            if not self._closed and len(self._unwritable) < _MOST_UNREPORTED:
                self._unwritable.append(unwritable)
                self._unreported += 1
                self._work.notify()

    def flush(self, timeout: float) -> bool:
        """Wait until all that came in before has been answered for; False when the time ran out."""
        with self._work:
            wanted = self._wanted = self._entered
            self._hurried = True
            self._work.notify()
            done = self._settled.wait_for(lambda: self._is_done(wanted), timeout)
            return done and not self._abandoned

    def close(self) -> None:
        """Take nothing more, and have what is there tried at once."""
        with self._work:
            self._closed = self._last_call = True
            self._work.notify()

    def abandon(self) -> int:
        """Give up what is left, and return how many events that were."""
        with self._work:
            given_up, self._held, self._held_bytes = self._held, 0, 0
            self._dropped_closed += given_up
            self._abandoned = True
            self._lines.clear()
            self._unwritable.clear()
            self._work.notify()
            self._settled.notify_all()
            return given_up

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._closed

    @property
    def counts(self) -> Counts:
        """All counts at one moment."""
        with self._work:
            return Counts(
                recorded=self._recorded,
                stored=self._stored,
                refused=self._refused,
                dropped_full=self._dropped_full,
                dropped_closed=self._dropped_closed,
                waiting=self._held,
            )

    # -- the thread that delivers --------------------------------------------------------------------------

    def wait(self) -> bool:
        """Wait for something to do; False once the buffer is closed and nothing is left."""
        with self._work:
            self._work.wait_for(lambda: self._lines or self._unwritable or self._closed)
            return bool(self._lines or self._unwritable)

    def take(self) -> list[bytes]:
        """Return the next lines for one request, once there are enough or they waited long enough."""
        with self._work:
            if self._lines:
                self._work.wait_for(self._is_due, timeout=self._limits.gather)
            return self._cut()

    def take_unwritable(self) -> list[Unwritable]:
        """Return the refusals to report."""
        with self._work:
            taken = list(self._unwritable)
            self._unwritable.clear()
            return taken

    def reported(self, number: int) -> None:
        """Note that so many refusals have been reported."""
        with self._work:
            self._unreported -= number
            self._settled.notify_all()

    def settle(self, lines: Sequence[bytes], *, refused: int = 0) -> None:
        """Note that the service has answered for these lines, and refused so many of them."""
        with self._work:
            if self._abandoned:
                return
            self._held -= len(lines)
            self._held_bytes -= sum(map(len, lines))
            self._left += len(lines)
            self._stored += len(lines) - refused
            self._refused += refused
            self._settled.notify_all()

    def pause(self, seconds: float, *, asked_for: bool) -> bool:
        """Wait before the next attempt; True when the pause was cut short.

        A flush does that, but not to a pause that the service asked for; `close` does it once to any.
        """
        with self._work:
            short = self._work.wait_for(
                lambda: self._abandoned or self._last_call or (self._hurried and not asked_for), seconds
            )
            self._last_call = False
            self._hurried = self._hurried and asked_for
            return short

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody waits for the rest any more."""
        return self._abandoned

    def _is_due(self) -> bool:
        return (
            len(self._lines) >= self._limits.batch_events
            or self._closed
            or not self._lines
            or self._left < self._wanted
        )

    def _is_done(self, wanted: int) -> bool:
        return self._abandoned or (self._left >= wanted and self._unreported == 0)

    def _cut(self) -> list[bytes]:
        taken: list[bytes] = []
        size = 0
        while self._lines and len(taken) < self._limits.batch_events:
            size += len(self._lines[0]) + 1
            if taken and size > self._limits.batch_bytes:
                break
            taken.append(self._lines.popleft())
        return taken

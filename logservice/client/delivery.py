"""The thread that delivers: takes batches, sends each until the service has answered for it, and reports."""

from __future__ import annotations

import random
import uuid
from collections import deque
from dataclasses import dataclass, field
from http.client import HTTPException

from .buffer import Buffer
from .connection import Connection
from .limits import Limits
from .notices import Notices, log
from .verdicts import Later, Refused, Stored, TooLarge, Verdict, verdict


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines that share a request, and the key under which they are sent, however often that takes."""

    lines: list[bytes]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def body(self) -> bytes:
        """The request: one event on each line."""
        return b"\n".join(self.lines)

    def halves(self) -> list[Batch]:
        """Return two batches, with keys of their own since their bodies are others."""
        middle = len(self.lines) // 2
        return [Batch(self.lines[:middle]), Batch(self.lines[middle:])]


class Delivery:
    """Delivers what a buffer holds, one request at a time and in order."""

    def __init__(self, buffer: Buffer, connection: Connection, limits: Limits, notices: Notices) -> None:
        self._buffer = buffer
        self._connection = connection
        self._limits = limits
        self._notices = notices

    def run(self) -> None:
        """Deliver until the buffer is closed and empty, or abandoned."""
        while self._buffer.wait():
            self._report()
            if lines := self._buffer.take():
                self._deliver(Batch(lines))
        self._report()
        self._connection.close()

    def _deliver(self, batch: Batch) -> None:
        parts = deque([batch])
        while parts and not self._buffer.is_abandoned:
            part = parts.popleft()
            parts.extendleft(reversed(self._send(part)))

    def _send(self, batch: Batch) -> list[Batch]:
        """Send a batch until it has been answered for; return its halves when it was too large."""
        failures = 0
        while not self._buffer.is_abandoned:
            answer = self._attempt(batch)
            if not isinstance(answer, Later):
                self._notices.working()
                return self._conclude(batch, answer)
            failures = 0 if self._pause(answer, failures) else failures + 1
        return []

    def _attempt(self, batch: Batch) -> Verdict:
        try:
            return verdict(self._connection.post(batch.body, key=batch.key), sent=len(batch.lines))
        except (OSError, HTTPException) as error:
            return Later(str(error) or type(error).__name__)
        except Exception as error:  # noqa: BLE001 - it is logged with its traceback
            # Whatever else goes wrong must not end the thread: what waits could never be delivered then.
            log.exception("a request failed in an unexpected way")
            return Later(f"{type(error).__name__}: {error}", needs_mending=True)

    def _conclude(self, batch: Batch, answer: Stored | Refused | TooLarge) -> list[Batch]:
        if isinstance(answer, TooLarge) and len(batch.lines) > 1:
            return batch.halves()
        if isinstance(answer, Stored):
            rejected = answer.rejected
        else:
            rejected = tuple((index, answer.message) for index in range(len(batch.lines)))
        self._notices.refused(batch.lines, rejected)
        self._buffer.settle(batch.lines, refused=len(rejected))
        return []

    def _pause(self, answer: Later, failures: int) -> bool:
        """Wait before a repetition; True when somebody could not wait for it."""
        counts = self._buffer.counts
        self._notices.failing(answer.message, needs_mending=answer.needs_mending, waiting=counts.waiting)
        self._report()
        seconds = self._limits.longest_pause
        if not answer.needs_mending:
            seconds = min(seconds, self._limits.first_pause * 2 ** min(failures, 30))
        # Half of it is left to chance, so that clients that failed together do not come back together.
        seconds *= random.uniform(0.5, 1.0)  # nosec B311 # nothing secret hangs on it
        return self._buffer.pause(max(seconds, answer.asked or 0.0), asked_for=answer.asked is not None)

    def _report(self) -> None:
        self._notices.dropped(self._buffer.counts.dropped_full)
        unwritable = self._buffer.take_unwritable()
        self._notices.unwritable(unwritable)
        self._buffer.reported(len(unwritable))

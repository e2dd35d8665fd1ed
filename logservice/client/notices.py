"""What a client says: an outage once when it begins and once when it ends, refusals, and drops."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from .lines import Unwritable

log = logging.getLogger("logservice.client")

#: Called with an event that was refused, and the reason.
OnRefused = Callable[[Any, str], None]
#: How often drops are told, in seconds.
_DROPS_TOLD = 60.0


class Notices:
    """Log lines to "logservice.client", from the thread that delivers alone: a log can be slow as well."""

    def __init__(self, service: str, on_refused: OnRefused | None) -> None:
        self._service = service
        self._on_refused = on_refused
        self._outage: str | None = None
        self._dropped = 0
        self._next_drops = 0.0

    def failing(self, message: str, *, needs_mending: bool, waiting: int) -> None:
        """Say that events cannot be delivered, once for each outage and cause that somebody has to mend."""
        if self._outage is None or (needs_mending and message != self._outage):
            level = logging.ERROR if needs_mending else logging.WARNING
            log.log(level, "%s takes no events (%s); %d wait", self._service, message, waiting)
            self._outage = message

    def working(self) -> None:
        """Say that an outage is over."""
        if self._outage is not None:
            log.warning("%s takes events again", self._service)
            self._outage = None

    def dropped(self, total: int) -> None:
        """Say that the buffer is full, at most once a minute."""
        if total > self._dropped and time.monotonic() >= self._next_drops:
            log.error("the buffer is full: %d events dropped, %d in all", total - self._dropped, total)
            self._dropped, self._next_drops = total, time.monotonic() + _DROPS_TOLD

    def unwritable(self, refused: Sequence[Unwritable]) -> None:
        """Report events that were refused before they were sent."""
        if refused:
            log.error("%d events were not sent; the first: %s", len(refused), refused[0].message)
        for one in refused:
            self._call(one.event, one.message)

    def refused(self, lines: Sequence[bytes], rejected: Sequence[tuple[int, str]]) -> None:
        """Report events that the service refused, each by its place among the lines of the request."""
        if not rejected:
            return
        log.error(
            "%s refused %d of %d events; the first: %s",
            self._service,
            len(rejected),
            len(lines),
            rejected[0][1],
        )
        for index, message in rejected:
            self._call(json.loads(lines[index]), message)

    def _call(self, event: Any, message: str) -> None:
        if self._on_refused is None:
            return
        try:
            self._on_refused(event, message)
        except Exception:
            log.exception("on_refused failed")

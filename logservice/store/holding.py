"""Holding a mark for as long as work goes on, so that nobody else does the same at the same time."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Self

from ..errors import Unavailable
from . import marks
from .jobs import Claim
from .store import LogStore

log = logging.getLogger("logservice")


class Holding:
    """A mark, taken when the block is entered, which raises Conflict if somebody has it, and given back."""

    def __init__(self, store: LogStore, name: str) -> None:
        self._store = store
        self._name = name
        self._owner = marks.new_owner()
        self._renewed = 0.0

    def __enter__(self) -> Self:
        self._hold()
        return self

    def __exit__(self, *_: object) -> None:
        release = partial(marks.release, name=self._name, owner=self._owner)
        try:
            self._store.write(release, claims=[Claim(self._name)])
        except Unavailable:
            # What failed before is what the caller has to hear; the mark expires by itself.
            log.warning("the mark of a %s could not be taken back", self._name)

    def renew(self) -> None:
        """Renew the mark, if it is time; to be called every few seconds."""
        if time.monotonic() - self._renewed > marks.LIFETIME / 4:
            self._hold()

    def _hold(self) -> None:
        now = int(self._store.clock())
        hold = partial(marks.hold, name=self._name, owner=self._owner, now=now)
        self._store.write(hold, claims=[Claim(self._name)])
        self._renewed = time.monotonic()

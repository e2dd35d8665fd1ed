"""The Python door: what an application of the same process records, without a request in between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from flask import current_app, has_app_context
from werkzeug.local import LocalProxy

from .errors import InvalidValue
from .store import records
from .store.records import Record
from .store.sorting import Rejected, sorted_out
from .store.store import LogStore
from .web.bodies import MOST_EVENTS
from .web.state import EXTENSION, current_state


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of several events: how many were stored, and which ones were not, and why."""

    accepted: int
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class Logs:
    """The logs of one application. Once made it needs no context, and may be handed to a thread."""

    store: LogStore

    def __call__(self) -> Logs:
        """Return these logs themselves: what `current_logs()` gives stays when the context has gone."""
        return self

    def record(self, event: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        """Store one event, given as a mapping, as keywords, or as both, where keywords count.

        The fields are those of `POST /api/log/`, and when this returns the event is on disk. Raises
        InvalidValue naming the field and what is wrong with it, and Unavailable when the database fails.
        """
        given = fields if event is None else _merged(event, fields)
        accepted, rejected = sorted_out([given], _read, self.store.clock())
        if rejected:
            self.store.observer.refused(len(rejected))
            raise InvalidValue(rejected[0].message)
        self.store.record(accepted)

    def record_many(self, events: Iterable[Mapping[str, Any]]) -> Recorded:
        """Store the valid ones of some events in one transaction, and tell which ones were refused.

        Raises InvalidValue for more than 100,000 at once, and Unavailable when the database fails; then
        none is stored.
        """
        given = list(islice(events, MOST_EVENTS + 1))
        if len(given) > MOST_EVENTS:
            raise InvalidValue(f"events: more than {MOST_EVENTS} at once")
        accepted, rejected = sorted_out(given, _read, self.store.clock())
        if rejected:
            self.store.observer.refused(len(rejected))
        self.store.record(accepted)
        return Recorded(len(accepted), tuple(rejected))


def _find() -> Logs:
    """Return the logs of the current application, or raise RuntimeError saying what is missing."""
    if not has_app_context():
        raise RuntimeError(
            "the log belongs to an application: record within a request or `with app.app_context():`, "
            "or keep what current_logs() returned there"
        )
    if EXTENSION not in current_app.extensions:
        raise RuntimeError("this application has no LogService; call LogService(app) when it is made")
    return Logs(current_state().store)


#: The logs of the current application, like Flask's own `current_app`. Whatever is asked of it raises
#: RuntimeError outside an application context, and where no LogService is registered.
current_logs: Logs = LocalProxy(_find)  # type: ignore[assignment]  # stands for what it finds


def _merged(event: Any, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(event, Mapping):
        raise InvalidValue("the event is no object")
    return {**event, **fields}


def _read(event: Any, now: float) -> Record:
    return records.from_mapping(event, now=now)

"""The figures of one application for Prometheus: what was counted as it happened, and the state of its log.

With PROMETHEUS_MULTIPROC_DIR set when prometheus_client is imported, all processes count in files of that
folder, and whichever is asked adds them up; otherwise a process counts for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.values import MutexValue, ValueClass

from ..errors import Unavailable
from ..store import forks
from ..store.observing import Observer
from ..store.store import LogStore
from ..store.vitals import Vitals

#: The route of what leads nowhere, so that strangers cannot make up new series.
NOWHERE = "none"
#: What the names of our figures begin with, and no others'.
_OURS = "logservice_"
# The library has decided that for the whole process; the environment may say something else by now.
_SHARED = ValueClass is not MutexValue

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COMMIT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_PIECES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics(Observer):
    """Counts requests, events and commits, apart from what a host may count."""

    def __init__(self) -> None:
        # prometheus_client has locks of its own, which a forked child may find held for ever.
        self._counting = forks.Lock()
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "logservice_http_requests",
            "Requests that were answered.",
            ("route", "method", "status"),
            registry=registry,
        )
        self._durations = Histogram(
            "logservice_http_request_duration_seconds",
            "Time from a request to its answer, what it waited to begin included; of an export, to its end.",
            ("route", "method"),
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._stored = Counter(
            "logservice_events_ingested", "Events that were stored; repeats are none.", registry=registry
        )
        self._refused = Counter("logservice_events_refused", "Events that were not valid.", registry=registry)
        self._commits = Histogram(
            "logservice_commit_size",
            "Pieces of work, such as posts, that the writing thread committed together.",
            buckets=_PIECES,
            registry=registry,
        )
        self._commit_seconds = Histogram(
            "logservice_commit_duration_seconds",
            "Time that a commit took, with the work in it.",
            buckets=_COMMIT_SECONDS,
            registry=registry,
        )
        self._waits = Histogram(
            "logservice_write_wait_seconds",
            "Time that a piece of work waited for its turn to write.",
            buckets=_COMMIT_SECONDS,
            registry=registry,
        )
        self._withdrawn = Counter(
            "logservice_writes_withdrawn",
            "Pieces of work that waited in vain for LOGSERVICE_WAITING_TIME, and were answered with 503.",
            registry=registry,
        )

    def answered(self, route: str | None, method: str, status: int, began: float) -> None:
        """Count a request that began at a `perf_counter()` and is over; `route` is its pattern."""
        route = NOWHERE if route is None else route
        method = method if method in _METHODS else NOWHERE
        with self._counting.held():
            self._requests.labels(route, method, status).inc()
            self._durations.labels(route, method).observe(perf_counter() - began)

    def stored(self, events: int) -> None:
        with self._counting.held():
            self._stored.inc(events)

    def refused(self, events: int) -> None:
        with self._counting.held():
            self._refused.inc(events)

    def committed(self, waits: Sequence[float], seconds: float) -> None:
        with self._counting.held():
            self._commits.observe(len(waits))
            self._commit_seconds.observe(seconds)
            for wait in waits:
                self._waits.observe(wait)

    def withdrawn(self) -> None:
        with self._counting.held():
            self._withdrawn.inc()

    def exposition(self, store: LogStore) -> bytes:
        """Return all figures, those of the log as they are now, in Prometheus' text format."""
        # Where all workers count in files, the registry of one of them knows no more than its own share.
        counted = _registry_of(_SharedFigures()) if _SHARED else self._registry
        with self._counting.held():
            counts = generate_latest(counted)
        return counts + generate_latest(_registry_of(_LogState(store)))


def _registry_of(collector: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


class _SharedFigures(Collector):
    """What all processes counted in the folder, without the figures that a host keeps there of its own."""

    def collect(self) -> Iterator[Metric]:
        every = MultiProcessCollector(None).collect()  # type: ignore[no-untyped-call]  # of the library
        return (family for family in every if family.name.startswith(_OURS))


class _LogState(Collector):
    """The state of the log when it is asked for."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            found = self._store.vitals()
        except Unavailable:
            found = None
        yield GaugeMetricFamily(
            "logservice_database_up", "Whether the database could be read just now.", float(found is not None)
        )
        if found is not None:
            yield from _gauges(found)


def _gauges(found: Vitals) -> Iterator[GaugeMetricFamily]:
    """Yield a gauge for each figure that is known."""
    purge, space = found.purge, found.space
    for name, meaning, value in (
        ("rows", "Rows in the log.", found.rows),
        ("database_size_bytes", "Bytes that the database takes on disk.", space.database),
        ("database_wal_size_bytes", "Bytes of SQLite's write-ahead log.", space.wal),
        ("filesystem_free_bytes", "Bytes left where a SQLite file lies.", space.free),
        ("purge_running", "Whether a purge is under way, in whatever process.", int(purge is not None)),
        ("purge_deleted_rows", "Rows that this purge has deleted.", purge.deleted if purge else 0),
        ("purge_remaining_rows", "Rows that it has yet to delete.", purge.to_go if purge else 0),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"logservice_{name}", meaning, value)
    oldest = GaugeMetricFamily(
        "logservice_oldest_row_timestamp_seconds",
        "Time of the oldest row of a type, in epoch seconds.",
        labels=("type",),
    )
    for name, second in found.oldest.items():
        oldest.add_metric((name,), second)
    yield oldest

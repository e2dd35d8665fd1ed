"""The Flask extension: everything that is mounted into an application, and nothing outside its prefix."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Engine, create_engine

from . import misspelt
from .cli import logservice as commands
from .config import Settings
from .errors import InvalidValue
from .logs import Recorded, current_logs
from .store import dialects, opening, policy
from .store.observing import Observer
from .store.store import LogStore
from .web import auth, collisions, routes
from .web.addresses import TrustedProxies
from .web.prefixes import Prefixes
from .web.principal import Authenticate, ResolveKey
from .web.ratelimit import Rate, RateLimiter
from .web.state import EXTENSION, State

if TYPE_CHECKING:
    from .web.metrics import Metrics

log = logging.getLogger("logservice")

T = TypeVar("T")


class LogService:
    """Mounts the log into an application.

    `authenticate(request)` returns a Principal or None; without it the built-in access tokens apply.
    `resolve_key(key)` returns the token ids of one of the host's own API keys, or None; without it the keys
    apply that are registered here.
    `db` is the host's Flask-SQLAlchemy instance, and `bind_key` one of its binds, else its default database.
    On PostgreSQL the log lives there, and uses the host's engine if that speaks through psycopg 3. On SQLite
    the log reads and writes in its own way: in the file of a bind, or in a file of its own beside the
    default database. Without `db`, and where that is an engine we do not know, it opens the database of its
    settings. `engine` is one made from `dialects.engine_settings`, for the log alone.
    `ingest` is the prefix for foreign event formats; None mounts no route that writes events. The paths that
    protocols prescribe, `/api/v1/events` and `/v1/traces`, lie below `protocols`: `ingest` if not given,
    and never without it.
    `data` is the prefix of the hourly rows for a gateway's own dashboard, `/api/data` in new-api; None mounts
    none.
    `page` is the prefix of the web page and of its files; None mounts none.
    `docs` is the prefix of `openapi.json`, which describes all routes that are mounted, and of `docs`, which
    shows it; None mounts neither, True stands for `url_prefix`.
    `metrics` is the path of the figures for Prometheus; with None, or LOGSERVICE_METRICS off, nothing is
    counted.
    True stands for `/ingest`, `/data`, `/page` or `/metrics` below `url_prefix`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        authenticate: Authenticate | None = None,
        resolve_key: ResolveKey | None = None,
        db: SQLAlchemy | None = None,
        bind_key: str | None = None,
        engine: Engine | None = None,
        url_prefix: str = "/api/log",
        ingest: str | bool | None = None,
        protocols: str | None = None,
        data: str | bool | None = None,
        page: str | bool | None = None,
        docs: str | bool | None = None,
        metrics: str | bool | None = None,
    ) -> None:
        _expect("app", app, Flask, "a Flask application")
        _expect("db", db, SQLAlchemy, "a Flask-SQLAlchemy instance (a URL goes into LOGSERVICE_DATABASE_URL)")
        _expect("bind_key", bind_key, str, "the name of a bind")
        _expect("engine", engine, Engine, "an engine of SQLAlchemy (a URL goes into LOGSERVICE_DATABASE_URL)")
        if bind_key is not None and db is None:
            raise InvalidValue("bind_key: needs db, the Flask-SQLAlchemy instance that has the bind")
        for name, function in (("authenticate", authenticate), ("resolve_key", resolve_key)):
            if function is not None and not callable(function):
                raise InvalidValue(f"{name}: a function is expected, not {type(function).__name__}")
        self._authenticate = authenticate
        self._resolve_key = resolve_key
        self._db = db
        self._bind_key = bind_key
        self._own_engine = engine
        self._prefixes = Prefixes.read(
            url_prefix=url_prefix,
            ingest=ingest,
            protocols=protocols,
            data=data,
            page=page,
            docs=docs,
            metrics=metrics,
        )
        collisions.refuse(self._prefixes)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read the settings, open the store, mount the routes and commands. Raises InvalidValue."""
        if app is None:
            raise InvalidValue("app: a Flask application is expected, not None")
        _expect("app", app, Flask, "a Flask application")
        if EXTENSION in app.extensions:
            raise RuntimeError(
                "a LogService is registered on this application already; create one and call init_app once"
            )
        for complaint in misspelt.complaints({**os.environ, **app.config}):
            log.warning("%s", complaint)
        settings = Settings.load(app.config)
        for name, value in settings.as_config().items():
            app.config.setdefault(name, value)
        is_counting = self._prefixes.metrics is not None and settings.metrics
        metrics = _metrics() if is_counting else None
        state = State(
            settings=settings,
            store=self._store(app, settings, metrics),
            authenticate=self._authenticate or auth.by_access_token,
            resolve_key=self._resolve_key,
            proxies=_checked(
                "TRUSTED_PROXIES", lambda: TrustedProxies.parse(",".join(settings.trusted_proxies))
            ),
            rate_limiter=_rate_limiter(app, settings),
            retention=_checked("RETENTION", lambda: policy.parse(settings.retention)),
            metrics=metrics,
        )
        mounted = self._prefixes if is_counting else replace(self._prefixes, metrics=None)
        routes.mount(app, mounted, origins=settings.cors_origins)
        # Only now: an application whose routes clash with ours has no log, and may be asked again.
        app.extensions[EXTENSION] = state
        app.cli.add_command(commands)

    def record(self, event: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        """Store one event in the log of the current application; see `Logs.record`."""
        current_logs.record(event, **fields)

    def record_many(self, events: Iterable[Mapping[str, Any]]) -> Recorded:
        """Store some events in the log of the current application; see `Logs.record_many`."""
        return current_logs.record_many(events)

    def _store(self, app: Flask, settings: Settings, observer: Observer | None) -> LogStore:
        host_engine = self._host_engine(app)
        shared = host_engine is not None and dialects.can_share(host_engine)
        engine = host_engine if shared else self._own_engine
        if engine is None:
            url, folder = self._database(app, settings, host_engine)
            engine = create_engine(
                **dialects.engine_settings(url, folder, waiting_time=settings.waiting_time)
            )
        _, rows_url = opening.urls_of(settings.database_url, settings.meta_url)
        return opening.opened(
            engine,
            rows_url=rows_url,
            folder=app.instance_path,
            cluster=settings.clickhouse_cluster or None,
            waiting_time=settings.waiting_time,
            auto_create=settings.auto_create,
            shared=shared,
            observer=observer,
        )

    def _database(self, app: Flask, settings: Settings, host_engine: Engine | None) -> tuple[str | URL, str]:
        """Return the URL of the log's database, and the folder in which a relative file lies."""
        own_url, _ = opening.urls_of(settings.database_url, settings.meta_url)
        if host_engine is None:
            return own_url, app.instance_path
        if self._bind_key is not None or dialects.can_join(host_engine):
            return host_engine.url, app.instance_path
        file = dialects.file_of(host_engine)
        return own_url, app.instance_path if file is None else str(file.parent)

    def _host_engine(self, app: Flask) -> Engine | None:
        if self._db is None:
            return None
        with app.app_context():
            engines = self._db.engines
        if self._bind_key not in engines:
            raise InvalidValue(f"bind_key: SQLALCHEMY_BINDS of this application has no {self._bind_key!r}")
        return engines[self._bind_key]


def _expect(name: str, given: object, kind: type, wanted: str) -> None:
    """Refuse an argument of another kind; hosts often have no types that would tell them."""
    if given is not None and not isinstance(given, kind):
        raise InvalidValue(f"{name}: {wanted} is expected, not {type(given).__name__}")


def _metrics() -> Metrics:
    """Return what counts for one application.

    Loaded only now: when it is, prometheus_client decides for the whole process how it counts, and a host
    that has use for it may want to say something about that first.
    """
    metrics: Metrics = import_module(".web.metrics", __package__).Metrics()
    return metrics


def _rate_limiter(app: Flask, settings: Settings) -> RateLimiter | None:
    rate = _checked("TOKEN_RATE_LIMIT", lambda: Rate.parse(settings.token_rate_limit))
    if rate is None:
        return None
    return RateLimiter(
        Path(settings.rate_limit_file or Path(app.instance_path, "logservice-ratelimit")), rate
    )


def _checked(name: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise InvalidValue(f"LOGSERVICE_{name}: {error}") from None

"""Every setting, its default and its meaning.

A setting called `max_body` is `LOGSERVICE_MAX_BODY` in an application's configuration and in the
environment; the application's configuration comes first. A value that cannot be read refuses to start, with
the reason.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

from .errors import InvalidValue
from .setting_values import (
    DEFAULT_BIND,
    address,
    cap,
    file,
    names,
    one_of,
    origins,
    positive,
    size,
    switch,
    token,
    whole,
)

PREFIX = "LOGSERVICE_"


def _setting(default: Any, meaning: str, read: Callable[[str], Any] = str, *, is_secret: bool = False) -> Any:
    metadata = {"meaning": meaning, "read": read, "is_secret": is_secret}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """The settings of one application, read and checked. Some are secret: none is shown by `repr`."""

    database_url: str = _setting(
        "sqlite:///logservice.db",
        "Where the log is kept: a SQLite file, which lies in the instance folder if relative, PostgreSQL, or"
        " ClickHouse.",
    )
    meta_url: str = _setting(
        "sqlite:///logservice.db",
        "Where users, tokens, idempotency keys and kept usage are, if the rows lie on ClickHouse: SQLite or"
        " PostgreSQL, the same for all processes.",
    )
    clickhouse_cluster: str = _setting(
        "", "Name of the cluster of ClickHouse on whose shards the rows lie; empty for one server."
    )
    auto_create: bool = _setting(
        True, "Create missing tables, or bring older ones up to date, on first use.", switch
    )
    waiting_time: float = _setting(
        10.0, "Seconds a write waits for its turn before it is answered with 503.", positive
    )
    max_body: int = _setting(32 * 2**20, "Largest body of a post in bytes, also when unpacked.", size)
    quota_per_unit: float = _setting(500_000.0, "Quota that stands for one US dollar.", positive)
    currency: str = _setting("$", "What the page writes before amounts, such as $ or ¥.")
    token_log_limit: int = _setting(
        1000, "Rows that /api/log/token returns when no page is asked for.", whole
    )
    token_rate_limit: str = _setting(
        "120/minute",
        "Requests to /api/log/token per address: a number per second, minute, hour or day; 0 for no limit.",
    )
    rate_limit_file: str = _setting(
        "",
        "File in which all workers count requests; by default logservice-ratelimit in the instance folder.",
        file,
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        "Addresses or networks whose X-Forwarded-For is believed; `unix` for a unix socket.",
        names,
    )
    cors_origins: tuple[str, ...] = _setting(
        (),
        "Origins that may call the routes other than /api/log/token from a browser, such as"
        " https://app.example.org; `*` for any.",
        origins,
    )
    retention: str = _setting(
        "",
        "How long rows are kept, by type: consume=90d,error=14d; types that are not named are kept for ever.",
    )
    max_db_size: int | None = _setting(
        None,
        "Bytes the log may take, such as 10GB, before `maintain` deletes the oldest rows of types that"
        " LOGSERVICE_RETENTION names; empty or 0 for no limit.",
        cap,
    )
    metrics: bool = _setting(True, "Count what the service does, and tell it at /metrics.", switch)
    metrics_token: str = _setting(
        "",
        "Token that opens /metrics; an administrator's access token does as well. Empty for none.",
        token,
        is_secret=True,
    )
    legacy_status: bool = _setting(
        False, "Answer failures with status 200 (401 excepted), as old clients expect.", switch
    )

    @classmethod
    def load(cls, config: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
        """Read every setting from `config`, else the environment, else the default.

        Raises InvalidValue naming the setting and what is wrong with it.
        """
        environ = os.environ if environ is None else environ
        return cls(**_values(cls, lambda name: config.get(name, environ.get(name))))

    def as_config(self) -> dict[str, Any]:
        """Return the settings under the names they have in an application's configuration."""
        return {setting_name(field): getattr(self, field.name) for field in dataclasses.fields(self)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Serving:
    """The settings of the program that serves the application, read from the environment alone."""

    instance_path: str = _setting("instance", "Folder for the database and the rate limit file.")
    bind: str = _setting(DEFAULT_BIND, "Address to listen on, HOST:PORT or unix:PATH.", address)
    workers: int = _setting(
        2, "Worker processes; as many as there are processors is a good beginning.", whole
    )
    threads: int = _setting(
        16, "Threads in each; who writes leaves a quarter of them, rounded up, to who reads.", whole
    )
    cpu_affinity: bool = _setting(
        True, "Where there are no more processors than workers, keep each worker to one.", switch
    )
    client_timeout: int = _setting(
        60, "Seconds within which a body has to arrive, and a part of an answer to be taken.", whole
    )
    log_level: str = _setting(
        "info",
        "Level of the error log.",
        one_of("debug", "info", "warning", "error", "critical"),
    )
    access_log: str = _setting("text", "How each request is logged.", one_of("text", "json", "off"))

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Serving:
        """Read every setting from the environment; an empty one is the default. Raises InvalidValue."""
        environ = os.environ if environ is None else environ
        return cls(**_values(cls, lambda name: environ.get(name, "").strip() or None))


def setting_name(field: dataclasses.Field[Any]) -> str:
    """Return the name of a setting in the configuration and the environment."""
    return PREFIX + field.name.upper()


def _values(settings: type[Settings | Serving], given: Callable[[str], Any]) -> dict[str, Any]:
    """Return what is given of some settings, read, by the names of their fields."""
    values = {}
    for field in dataclasses.fields(settings):
        name = setting_name(field)
        value = given(name)
        if value is not None:
            values[field.name] = _read(name, value, field.metadata)
    return values


def _read(name: str, given: Any, metadata: Mapping[str, Any]) -> Any:
    text = _text(given)
    try:
        return metadata["read"](text)
    except ValueError as error:
        shown = "what is given" if metadata["is_secret"] else repr(text)
        raise InvalidValue(f"{name}: {shown} {error}") from None


def _text(given: Any) -> str:
    """Return a value of an application's configuration as the environment would have it."""
    if hasattr(given, "render_as_string"):
        # A URL of SQLAlchemy, whose own text has stars in place of the password.
        return str(given.render_as_string(hide_password=False))
    if isinstance(given, (list, tuple, set, frozenset)):
        return ",".join(map(str, given))
    return str(given)

"""Every setting, its default and its meaning.

A setting called `max_body` is `LOGSERVICE_MAX_BODY` in an application's configuration and in the
environment; the application's configuration comes first. A value that cannot be read refuses to start, with
the reason.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from .errors import InvalidValue

PREFIX = "LOGSERVICE_"

_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(?:([KMGT])(I)?)?B?", re.ASCII)
_TOKEN = re.compile(r"[!-~]{16,}", re.ASCII)
_POWERS = {None: 0, "K": 1, "M": 2, "G": 3, "T": 4}
#: The least the log may take: an empty one takes about a fifth of that.
_SMALLEST_CAP = 10**6
_BOOLEANS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off", ""), False),
}


def whole(value: str) -> int:
    """Read a whole number from 1."""
    if not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII) or int(value) == 0:
        raise ValueError("is not a whole number from 1")
    return int(value)


def positive(value: str) -> float:
    """Read a number above 0."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError("is not a number above 0")
    return number


def size(value: str) -> int:
    """Read a number of bytes: 1048576, 512KB, 32MiB, 1.5GB, 10G."""
    found = _SIZE.fullmatch(value.strip().upper())
    read = 0 if found is None else _bytes(*found.groups())
    if read == 0:
        raise ValueError("is not a size such as 1048576, 32MiB or 10GB")
    return read


def _bytes(number: str, prefix: str | None, binary: str | None) -> int:
    return int(Decimal(number) * (1024 if binary else 1000) ** _POWERS[prefix])


def cap(value: str) -> int | None:
    """Read how many bytes the log may take; nothing or 0 is no limit."""
    if value.strip() in ("", "0"):
        return None
    read = size(value)
    if read < _SMALLEST_CAP:
        raise ValueError("is less than 1MB; is a unit missing?")
    return read


def switch(value: str) -> bool:
    """Read 1 or 0, true or false, yes or no, on or off."""
    if value.strip().lower() not in _BOOLEANS:
        raise ValueError("is neither 1 nor 0")
    return _BOOLEANS[value.strip().lower()]


def names(value: str) -> tuple[str, ...]:
    """Read a list separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def token(value: str) -> str:
    """Read a token that travels in a header and is not to be guessed; nothing is none."""
    value = value.strip()
    if value and not _TOKEN.fullmatch(value):
        raise ValueError("is not a token of at least 16 characters of ASCII, without blanks")
    return value


def _setting(default: Any, meaning: str, read: Callable[[str], Any] = str, *, is_secret: bool = False) -> Any:
    metadata = {"meaning": meaning, "read": read, "is_secret": is_secret}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """The settings of one application, read and checked. Some are secret: none is shown by `repr`."""

    database_url: str = _setting(
        "sqlite:///logservice.db",
        "Where the log is kept: a SQLite file, which lies in the instance folder if relative, or PostgreSQL.",
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
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        "Addresses or networks whose X-Forwarded-For is believed; `unix` for a unix socket.",
        names,
    )
    cors_origins: tuple[str, ...] = _setting(
        (), "Origins that may call the routes other than /api/log/token from a browser.", names
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
        values = {}
        for field in dataclasses.fields(cls):
            name = setting_name(field)
            given = config.get(name, environ.get(name))
            if given is not None:
                values[field.name] = _read(name, given, field.metadata)
        return cls(**values)

    def as_config(self) -> dict[str, Any]:
        """Return the settings under the names they have in an application's configuration."""
        return {setting_name(field): getattr(self, field.name) for field in dataclasses.fields(self)}


def setting_name(field: dataclasses.Field[Any]) -> str:
    """Return the name of a setting in the configuration and the environment."""
    return PREFIX + field.name.upper()


def _read(name: str, given: Any, metadata: Mapping[str, Any]) -> Any:
    text = ",".join(given) if isinstance(given, (list, tuple)) else str(given)
    try:
        return metadata["read"](text)
    except ValueError as error:
        shown = "what is given" if metadata["is_secret"] else repr(text)
        raise InvalidValue(f"{name}: {shown} {error}") from None

"""URLs of ClickHouse: a server, several nodes of a cluster, or a folder for the engine in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from ...errors import InvalidValue
from ..dialects import urls

SERVER, EMBEDDED = "clickhouse", "clickhouse+chdb"
_DATABASE = "logservice"
_PORT, _SECURE_PORT = 8123, 8443
_SWITCHES = {"": False, "1": True, "true": True, "0": False, "false": False}
#: What may stand behind the question mark.
_OPTIONS = {SERVER: ("ca_cert", "host", "secure", "verify"), EMBEDDED: ("database",)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows lie: `nodes` are hosts with ports, any of which answers for all; or a `folder`."""

    database: str
    nodes: tuple[tuple[str, int], ...] = ()
    folder: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """The place for people, without what is secret."""
        if self.folder is not None:
            return str(self.folder)
        hosts = ", ".join(f"{host}:{port}" for host, port in self.nodes)
        return f"ClickHouse's database {self.database} on {hosts}"


def is_ours(url: str | URL) -> bool:
    """Whether a URL names ClickHouse."""
    return str(url).partition("://")[0].lower() in (SERVER, EMBEDDED)


def is_embedded(url: str | URL) -> bool:
    """Whether a URL names a folder for the engine in this process."""
    return str(url).partition("://")[0].lower() == EMBEDDED


def read(url: str | URL, folder: str) -> Place:
    """Return the place that a URL names; a relative folder lies in `folder`. Raises InvalidValue."""
    parsed = urls.read(url)
    scheme = EMBEDDED if is_embedded(parsed) else SERVER
    known = _OPTIONS[scheme]
    if unknown := sorted({*parsed.query}.difference(known)):
        raise InvalidValue(
            f"{urls.SETTING}: {scheme}:// has no option {unknown[0]!r}, only {', '.join(known)}"
        )
    return _embedded(parsed, folder) if scheme == EMBEDDED else _server(parsed)


def _embedded(url: URL, folder: str) -> Place:
    if not url.database:
        raise InvalidValue(f"{urls.SETTING}: no folder is named; write {EMBEDDED}:///clickhouse")
    return Place(_one(url, "database") or _DATABASE, folder=Path(folder, url.database))


def _server(url: URL) -> Place:
    secure = _switch(url, "secure")
    port = _SECURE_PORT if secure else _PORT
    given = [f"{url.host}:{url.port or port}"] if url.host else []
    nodes = tuple(_node(text, port) for text in [*given, *url.normalized_query.get("host", ())])
    options = {
        "username": url.username or "default",
        "password": str(url.password or ""),
        "secure": secure,
        "verify": _switch(url, "verify", default=True),
    }
    if ca_cert := _one(url, "ca_cert"):
        options["ca_cert"] = ca_cert
    return Place(url.database or _DATABASE, nodes or (("localhost", port),), options=options)


def _node(text: str, port: int) -> tuple[str, int]:
    host, _, given = text.rpartition(":") if ":" in text else (text, "", str(port))
    if not given.isdecimal():
        raise InvalidValue(f"{urls.SETTING}: host={text!r} is no HOST:PORT")
    return host, int(given)


def _one(url: URL, name: str) -> str:
    return (url.normalized_query.get(name) or ("",))[-1]


def _switch(url: URL, name: str, *, default: bool = False) -> bool:
    given = _one(url, name).lower()
    if given not in _SWITCHES:
        raise InvalidValue(f"{urls.SETTING}: {name}={given!r} is neither true nor false")
    return _SWITCHES[given] if given else default

"""The one place that names a database.

`expressions` and `schema` hold what a statement or a table needs in the words of each engine; a `Dialect`
holds what an engine needs around the statements: how to open it, how to write, how to search. The rest of
the store asks for a dialect once, by the engine's own name, and never looks at that name again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine

from ...errors import InvalidValue
from . import urls
from .base import Dialect, SearchIndex, Space
from .expressions import (
    InOrder,
    add_up,
    along_index,
    contains,
    joined_lines,
    json_line,
    matches,
    newest_along_index,
    oldest_along_index,
    ranges,
    total,
)
from .packing import packed
from .postgresql import PostgreSQLDialect
from .schema import CLUSTERED, BigKey, PlainText, answering, growing, newest_first, set_vacuum_where_unset
from .sqlite import SQLiteDialect

__all__ = [
    "CLUSTERED",
    "BigKey",
    "Dialect",
    "InOrder",
    "PlainText",
    "SearchIndex",
    "Space",
    "add_up",
    "along_index",
    "answering",
    "can_join",
    "can_share",
    "contains",
    "engine_settings",
    "file_of",
    "for_engine",
    "growing",
    "joined_lines",
    "json_line",
    "matches",
    "newest_along_index",
    "newest_first",
    "oldest_along_index",
    "packed",
    "ranges",
    "set_vacuum_where_unset",
    "total",
]

_DIALECTS: dict[str, type[Dialect]] = {"sqlite": SQLiteDialect, "postgresql": PostgreSQLDialect}


def engine_settings(url: str | URL, folder: str, *, waiting_time: float = 10.0) -> dict[str, Any]:
    """Return what `create_engine` needs to read from `url`, the URL itself under "url".

    A relative file lies in `folder`. Raises InvalidValue for a URL that cannot be read or an engine that is
    unknown.
    """
    parsed = urls.read(url)
    return _dialect(parsed.get_backend_name()).engine_settings(parsed, folder, waiting_time=waiting_time)


def for_engine(engine: Engine, *, waiting_time: float = 10.0, shared: bool = False) -> Dialect:
    """Return the dialect of an engine made from `engine_settings`, or `shared` with a host that made it."""
    return _dialect(engine.dialect.name)(engine, waiting_time=waiting_time, shared=shared)


def can_share(engine: Engine) -> bool:
    """Whether a host's engine can serve the log as well as the host."""
    known = _DIALECTS.get(engine.dialect.name)
    return known is not None and known.shared_driver == engine.dialect.driver


def can_join(engine: Engine) -> bool:
    """Whether the log can live in the database of a host's engine, be it with an engine of its own."""
    known = _DIALECTS.get(engine.dialect.name)
    return known is not None and known.shared_driver is not None


def file_of(engine: Engine) -> Path | None:
    """Return the file that is a host's database, if it is one."""
    known = _DIALECTS.get(engine.dialect.name)
    return None if known is None else known.file_of(engine.url)


def _dialect(name: str) -> type[Dialect]:
    # The older name, which many still write in URLs.
    name = "postgresql" if name == "postgres" else name
    if name not in _DIALECTS:
        raise InvalidValue(
            f"{urls.SETTING}: no support for {name!r}; a URL begins with {' or '.join(_DIALECTS)}"
        )
    return _DIALECTS[name]

"""Where the routes lie: the prefixes that an application chose, read and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidValue

#: What would be a variable of a route, or no part of a path at all.
_STRANGE = re.compile(r"[<>?#\s]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefixes:
    """The prefix of each kind of routes, without a slash at its end; None where there are none.

    `metrics` is a path. See `LogService` for what each stands for.
    """

    url_prefix: str
    ingest: str | None = None
    protocols: str | None = None
    data: str | None = None
    page: str | None = None
    docs: str | None = None
    metrics: str | None = None

    @classmethod
    def read(
        cls,
        *,
        url_prefix: str,
        ingest: str | bool | None,
        protocols: str | None,
        data: str | bool | None,
        page: str | bool | None,
        docs: str | bool | None,
        metrics: str | bool | None,
    ) -> Prefixes:
        """Return the prefixes that arguments of `LogService` name. Raises InvalidValue naming one."""
        top = _path("url_prefix", url_prefix)
        if not top:
            raise InvalidValue("url_prefix: the log lies below a path such as /usage, not at the root")
        lower = None if protocols is None else _path("protocols", protocols)
        if lower is not None and (ingest is None or ingest is False):
            raise InvalidValue("protocols: needs ingest as well, without which no route takes events")
        return cls(
            url_prefix=top,
            ingest=_below(top, "ingest", ingest),
            protocols=lower,
            data=_below(top, "data", data),
            page=_below(top, "page", page),
            docs=top if docs is True else _below(top, "docs", docs),
            metrics=_below(top, "metrics", metrics),
        )


def _below(top: str, name: str, given: str | bool | None) -> str | None:
    """Return the prefix of routes that are mounted if they are asked for."""
    if given is True:
        return f"{top}/{name}"
    return None if given is None or given is False else _path(name, given, or_true=True)


def _path(name: str, given: object, *, or_true: bool = False) -> str:
    if not isinstance(given, str):
        wanted = f'a path such as "/{name}", or True,' if or_true else 'a path such as "/usage"'
        raise InvalidValue(f"{name}: {wanted} is expected, not {type(given).__name__}")
    if given and not given.startswith("/"):
        raise InvalidValue(f"{name}: {given!r} does not begin with a slash")
    if _STRANGE.search(given):
        raise InvalidValue(f"{name}: {given!r} is no path; it has no variables, no blanks and no query")
    return given.rstrip("/")

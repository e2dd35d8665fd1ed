"""The URLs of databases: read, with a hint where one is none, and shown without what is secret."""

from __future__ import annotations

import re
from pathlib import PurePath

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ...errors import InvalidValue

#: Where the log lies, and where that of it which is not rows does if those lie elsewhere.
SETTING, META_SETTING = "LOGSERVICE_DATABASE_URL", "LOGSERVICE_META_URL"
_SQLITE = "sqlite:///"
#: A password, or where one may lie: behind the beginning, or among the options.
_CREDENTIALS = re.compile(r"^(?P<before>[\w+.-]+://|).*@", re.DOTALL)
_OPTIONS = re.compile(r"\?.*", re.DOTALL)
#: A word for one, a second colon, or where a host should be: a password may be there that lacks its host.
_SECRET = re.compile(r"\?.*@|pass|pwd|secret|:.*:|(?<!/)(?<!sqlite:)//[^/]", re.IGNORECASE | re.DOTALL)
_EXAMPLES = f"{_SQLITE}logservice.db or postgresql://user:password@host/database"


def read(url: str | URL) -> URL:
    """Return a URL that is given as text. Raises InvalidValue, which shows it without its password."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        raise InvalidValue(f"{SETTING}: {shown(str(url))} is no database URL such as {_meant(url)}") from None
    if "@" in (found.host or ""):
        # The rest of a password would stand in the driver's error as part of the host.
        raise InvalidValue(f"{SETTING}: {shown(str(url))} has an @ too many; in a password it is written %40")
    return found


def shown(url: str) -> str:
    """Return a URL as an error may show it: no user, no password, no options."""
    scheme, slashes, _ = url.partition("://")
    if _SECRET.search(url):
        return f"'{scheme}://...'" if slashes and scheme.isalnum() else "what is given"
    return repr(_OPTIONS.sub("?...", _CREDENTIALS.sub(r"\g<before>...@", url)))


def _meant(url: str | URL) -> str:
    """Return the URL of a file that was named by its path alone, else examples."""
    text = str(url)
    is_path = text and ":" not in text and "@" not in text and not _SECRET.search(text)
    return f"{_SQLITE}{text}" if is_path and PurePath(text).suffix else _EXAMPLES

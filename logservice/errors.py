"""Domain errors: what can go wrong, in words a caller can act on. They know no status codes."""

from __future__ import annotations

import re

# What begins like an API key: it may have been put where it does not belong.
_KEY = re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{4,}")


class LogServiceError(Exception):
    """The root of every error this package raises on purpose; its text is meant for people."""


class InvalidValue(LogServiceError):
    """A value cannot be read or is out of bounds; the text names it, but shows no API key."""

    def __init__(self, message: str) -> None:
        super().__init__(_KEY.sub("sk-...", message))


class NotFound(LogServiceError):
    """A named user, token or file does not exist."""


class AlreadyExists(LogServiceError):
    """A user or token of that name, id or secret exists already."""


class Conflict(LogServiceError):
    """The request contradicts an earlier one, such as an Idempotency-Key with another body."""


class Unavailable(LogServiceError):
    """The database cannot be reached, or was locked longer than the stated waiting time.

    The caller may try again after `retry_after` seconds. Nothing of the failed operation was stored, unless
    the connection was lost during its commit; an Idempotency-Key keeps what is repeated from counting twice.
    `detail` is what the database says, for whoever runs the service and nobody else. With `meets_all` any
    work would meet it just now, and may have been done all the same: it is not tried again piece by piece.
    """

    def __init__(
        self, message: str, *, retry_after: int = 1, detail: str = "", meets_all: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.detail = detail
        self.meets_all = meets_all

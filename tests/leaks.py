"""Keys and access tokens where none may be: in files, in what is printed, in the log itself.

Every service that a test starts (`tests.serving`) or makes (`make_app`) is looked at when it ends, and so is
all that is logged in the process of the tests.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from tests.rows import KEYS, PEOPLE

#: Access tokens and keys of the tests; further ones look like `...-access-token-...`, `sk-...`.
SECRETS = re.compile(
    b"|".join(
        [
            *(re.escape(secret.encode()) for *_, secret in (*PEOPLE, *KEYS)),
            rb"[\w-]+-access-token-[\w-]+",
            rb"(?<![A-Za-z0-9])sk-[\w-]{6,}",
        ]
    )
)


def leaks(written: bytes) -> set[bytes]:
    """Return the secrets in something that was written."""
    return set(SECRETS.findall(written))


def assert_nothing_leaked(folder: Path, *printed: bytes) -> None:
    """Check what a service printed, and all files below its folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    found = {str(path): leaks(_content(path)) for path in files}
    found |= {f"printed {number}": leaks(text) for number, text in enumerate(printed)}
    found = {name: secrets for name, secrets in found.items() if secrets}
    assert found == {}, found


def _content(path: Path) -> bytes:
    """Return what is in a file; one that went meanwhile, such as SQLite's, holds nothing."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def assert_no_row_leaks(rows: Iterable[object]) -> None:
    """Check rows of a database."""
    leaking = [row for row in rows if leaks(repr(row).encode())]
    assert leaking == [], leaking


class Listener(logging.Handler):
    """Keeps what is logged with a secret in it, traceback included."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        entry = self.format(record)
        if leaks(entry.encode(errors="replace")):
            self.heard.append(entry)

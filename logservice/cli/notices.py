"""What commands say besides: that the last admin went, that a name has two bearers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..store import logins
from ..store.accounts import Token, User
from ..store.store import LogStore
from ..web.auth import asks_host
from .output import echo_note


@contextmanager
def telling_of_the_last_admin(store: LogStore) -> Iterator[None]:
    """Warn where nobody is left who may look after the log; a host knows its admins by itself."""
    before = _admins(store)
    yield
    if before and not _admins(store) and not asks_host():
        echo_note(
            "Warning: no admin can log in any more; `logservice user add NAME --role admin` makes one, and"
            " `logservice user rotate NAME` lets one who was disabled in again."
        )


def tell_of_namesakes(store: LogStore, entry: User | Token) -> None:
    """Say that a name does not tell a user or a token from others."""
    with store.reading() as connection:
        others = logins.namesakes(connection, entry)
    if not others:
        return
    noun, name = ("user", entry.username) if isinstance(entry, User) else ("token", entry.name)
    ids = ", ".join(map(str, others))
    owner = "" if isinstance(entry, User) else f" of user {entry.user_id}"
    echo_note(
        f"Note: another {noun}{owner} is called {name!r} too (id {ids}), and stays as it is; commands take"
        f" the id, here {entry.id}."
    )


def _admins(store: LogStore) -> int:
    with store.reading() as connection:
        return logins.count_admins(connection)

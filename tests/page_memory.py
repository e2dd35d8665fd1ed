"""How much of the room for pages is taken, by SQLite's own account."""

from __future__ import annotations

import _sqlite3
import ctypes

#: https://www.sqlite.org/c3ref/c_status_malloc_count.html
_PAGECACHE_USED = 1


def most_taken() -> int:
    """Return for how many pages there was room at once since SQLite was begun, at most."""
    now, most = ctypes.c_int(), ctypes.c_int()
    sqlite = ctypes.CDLL(_sqlite3.__file__)
    assert sqlite.sqlite3_status(_PAGECACHE_USED, ctypes.byref(now), ctypes.byref(most), 0) == 0
    return most.value

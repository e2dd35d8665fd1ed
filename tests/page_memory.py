"""Where SQLite keeps pages, by its own account: https://www.sqlite.org/c3ref/c_status_malloc_count.html."""

from __future__ import annotations

import _sqlite3
import ctypes

_LIBRARY = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
_PAGECACHE_USED, _PAGECACHE_OVERFLOW = 1, 2


def most_in_room() -> int:
    """Return how many pages were where there is room for them, at most."""
    return _most(_PAGECACHE_USED)


def most_elsewhere() -> int:
    """Return how many bytes pages had in other memory, at most."""
    return _most(_PAGECACHE_OVERFLOW)


def _most(figure: int) -> int:
    now, most = ctypes.c_int(), ctypes.c_int()
    assert _LIBRARY.sqlite3_status(figure, ctypes.byref(now), ctypes.byref(most), 0) == 0
    return most.value

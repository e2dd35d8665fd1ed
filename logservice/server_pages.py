"""Memory that SQLite keeps pages of the database in, apart from all else that a worker has.

A read that comes after a write fetches its pages anew and lets them go again: many thousands a second, which
would come and go among what Python keeps for long, and leave holes between that. Here they have a place of
their own, which stays as large as it is. Where it is full SQLite uses again what nobody reads any more, and
takes of malloc's what has to be. https://www.sqlite.org/malloc.html#_page_cache_memory
"""

from __future__ import annotations

import _sqlite3
import ctypes
import sys

#: For how many pages there is room, and how large they are in a database of which nobody says otherwise.
PAGES, _PAGE_BYTES = 2048, 4096
#: https://www.sqlite.org/c3ref/c_config_covering_index_scan.html, .../c_status_malloc_count.html
_CONFIG_PAGECACHE, _CONFIG_PCACHE_HDRSZ = 7, 24
_STATUS_MEMORY_USED = 0
_OK = 0


def reserve() -> bool:
    """Make room for pages; return whether there is.

    There is none where a connection is open in this process, for SQLite has to be begun anew, nor where its
    functions cannot be called: in Python's module only, or by another convention than Linux has.
    """
    # What Python's module is linked with is found through it, whatever other SQLite there may be.
    sqlite = ctypes.CDLL(getattr(_sqlite3, "__file__", None)) if sys.platform == "linux" else None
    if sqlite is None or not hasattr(sqlite, "sqlite3_config") or _is_in_use(sqlite):
        return False
    sqlite.sqlite3_shutdown()
    try:
        header = ctypes.c_int()
        sqlite.sqlite3_config(_CONFIG_PCACHE_HDRSZ, ctypes.byref(header))
        size = _PAGE_BYTES + -(-header.value // 8) * 8
        done = sqlite.sqlite3_config(_CONFIG_PAGECACHE, _kept(PAGES * size), size, PAGES)
    finally:
        sqlite.sqlite3_initialize()
    return bool(done == _OK)


def _is_in_use(sqlite: ctypes.CDLL) -> bool:
    """Whether SQLite has any memory, as it has for a connection; or keeps no account of it."""
    if _memory(sqlite):
        return True
    sqlite.sqlite3_malloc.restype = ctypes.c_void_p
    probe = ctypes.c_void_p(sqlite.sqlite3_malloc(1))
    is_counted = _memory(sqlite) > 0
    sqlite.sqlite3_free(probe)
    return not is_counted


def _memory(sqlite: ctypes.CDLL) -> int:
    """Return how many bytes SQLite has of malloc's."""
    used, most = ctypes.c_longlong(), ctypes.c_longlong()
    sqlite.sqlite3_status64(_STATUS_MEMORY_USED, ctypes.byref(used), ctypes.byref(most), 0)
    return used.value


def _kept(size: int) -> ctypes.Array[ctypes.c_char]:
    """Return memory that is never freed: connections may be closed when all of Python's is gone."""
    memory = ctypes.create_string_buffer(size)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(memory))
    return memory

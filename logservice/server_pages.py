"""Memory that SQLite keeps pages of the database in, apart from all else that a worker has.

A read that comes after a write lets go of all pages that its connection had, and fetches them anew: many
thousands a second, which would come and go among what Python keeps for long, and leave holes between that.
They have a place of their own here, which stays as large as it is, with room for all that the connections of
a worker commonly hold: with fewer than ten pages left SQLite has no connection hold more than it holds, and
small temporary tables go to files. https://www.sqlite.org/malloc.html#_page_cache_memory
"""

from __future__ import annotations

import _sqlite3
import ctypes
import sys
import threading

#: How large a page is in a database of which nobody says otherwise.
_PAGE_BYTES = 4096
#: How many pages the connection that writes holds at most, and each that reads, by what they are told in
#: store/dialects/sqlite_file.py; what temporary tables of a thread commonly have; and for how many more
#: connections than threads there is room, for those that read much have a pool of their own.
_WRITER, _READER, _TEMPORARY, _MORE_READERS = 1024, 64, 16, 8
#: How much is sorted in memory, in pages: otherwise as much as a connection may hold.
_SORTED = 2048
#: Options are listed at https://www.sqlite.org/c3ref/c_config_covering_index_scan.html
_CONFIG_PAGECACHE, _CONFIG_PCACHE_HDRSZ, _CONFIG_PMASZ = 7, 24, 25
#: https://www.sqlite.org/c3ref/c_status_malloc_count.html
_STATUS_MEMORY_USED = 0
_OK = 0


def room(threads: int) -> int:
    """Return for how many pages there is room in a worker of so many threads."""
    return _WRITER + _READER * (threads + _MORE_READERS) + _TEMPORARY * threads


def reserve(threads: int) -> bool:
    """Make room for the pages of a worker of so many threads; return whether there is.

    SQLite has to be begun anew for that, which it is not where a connection is open, nor beside other
    threads, which may open one. Nor is it where its functions cannot be called: they may be in Python's
    module alone, and outside of Linux another convention may hold for one of them.
    """
    sqlite = _library()
    if sqlite is None or threading.active_count() > 1 or _is_in_use(sqlite):
        return False
    # What follows the first argument depends on it.
    sqlite.sqlite3_config.argtypes = [ctypes.c_int]
    sqlite.sqlite3_shutdown()
    try:
        header = ctypes.c_int()
        sqlite.sqlite3_config(_CONFIG_PMASZ, _SORTED)
        if sqlite.sqlite3_config(_CONFIG_PCACHE_HDRSZ, ctypes.byref(header)) != _OK:
            return False
        size, pages = _PAGE_BYTES + header.value, room(threads)
        return bool(sqlite.sqlite3_config(_CONFIG_PAGECACHE, _kept(pages * size), size, pages) == _OK)
    finally:
        sqlite.sqlite3_initialize()


def _library() -> ctypes.CDLL | None:
    """Return the library that Python's module is linked with, whatever others there are."""
    file = getattr(_sqlite3, "__file__", None)
    if sys.platform != "linux" or file is None:
        return None
    try:
        library = ctypes.CDLL(file)
    except OSError:
        return None
    return library if hasattr(library, "sqlite3_config") and hasattr(library, "sqlite3_status64") else None


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
    """Return how many bytes SQLite has taken and not given back."""
    used, most = ctypes.c_longlong(), ctypes.c_longlong()
    sqlite.sqlite3_status64(_STATUS_MEMORY_USED, ctypes.byref(used), ctypes.byref(most), 0)
    return used.value


def _kept(size: int) -> ctypes.Array[ctypes.c_char]:
    """Return memory that is never freed: connections may be closed when all of Python's is gone."""
    memory = ctypes.create_string_buffer(size)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(memory))
    return memory

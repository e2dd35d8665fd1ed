"""What a worker has of glibc's memory: shared by its threads, and given back when it is free.

Each thread would keep a pool of its own, as large as its largest request, and in pieces. Other C libraries
have neither these pools nor these functions, and are left alone.
"""

from __future__ import annotations

import ctypes
import sys

#: There is one pool of memory for all threads; glibc would have up to eight for each processor: mallopt(3).
_ARENAS, _M_ARENA_MAX = 1, -8
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def share() -> None:
    """Have threads share memory: what one has freed another can use."""
    if _LIBC is not None and hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(_M_ARENA_MAX, _ARENAS)


def trim() -> None:
    """Give the pages that hold nothing back to the system: malloc_trim(3), some milliseconds without the GIL.

    By itself glibc, which has memory for each thread, gives back only what is free at the end of it.
    """
    if _LIBC is not None and hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(ctypes.c_size_t(0))

"""What a worker has of glibc's memory: shared by its threads, and given back when it is free.

Each thread would keep a pool of its own, as large as its largest request, and in pieces. Other C libraries
have neither these pools nor these functions, and are left alone.
"""

from __future__ import annotations

import ctypes
import sys

#: How many pools of memory there are for all threads; glibc would have up to eight for each processor. On one
#: processor, where one thread computes at a time, they share a single one.
_ARENAS, _ARENAS_IN_TURN = 4, 1
#: Bytes from which a block is the system's own, and goes back to it at once. Glibc would raise it to the
#: size of any such block that is freed, up to 32 MiB, and keep smaller ones in its pools from then on.
_LARGE = 128 * 1024
#: Numbers of mallopt(3) in malloc.h.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def share(*, on_one_processor: bool) -> None:
    """Have threads share memory, for what one has freed another can use; of large blocks nothing is kept."""
    if _LIBC is not None and hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(_M_ARENA_MAX, _ARENAS_IN_TURN if on_one_processor else _ARENAS)
        _LIBC.mallopt(_M_MMAP_THRESHOLD, _LARGE)


def trim() -> None:
    """Give the pages that hold nothing back to the system: malloc_trim(3), some milliseconds without the GIL.

    By itself glibc, which has memory for each thread, gives back only what is free at the end of it.
    """
    if _LIBC is not None and hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(ctypes.c_size_t(0))

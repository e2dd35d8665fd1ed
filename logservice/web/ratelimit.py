"""A request limit per address that all worker processes count together, in one small memory-mapped file.

The method is the generic cell rate algorithm (GCRA), virtual scheduling form, of ITU-T Recommendation I.371:
all that is kept of an address is its theoretical arrival time, the moment at which everything it has used
will be refilled. A hit moves that moment on by one interval, and is refused if it would then lie more than
a burst ahead of now.

The file is a header (magic with version, number of slots, a random key) and slots of 16 bytes (a hash of the
address under that key, and its arrival time in epoch seconds). It holds no addresses, and a table of hashes
made in advance does not fit its key.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import math
import mmap
import os
import re
import stat
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from ..folders import make_private, open_beside
from .addresses import read_address

# Times are rounded to 2**-20 s: sums of such numbers are exact in a float until the year 2242, so that
# a burst is exactly `count` hits.
_TICKS = 1 << 20
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(rf"([0-9]{{1,12}})\s*/\s*({'|'.join(_UNITS)})", re.IGNORECASE)
_MAX_PER_SECOND = 1_000_000

_MAGIC = b"lograte1"
_KIND = struct.Struct("<8sQ")
_KEY_SIZE = 16
_HEADER_SIZE = _KIND.size + _KEY_SIZE
_SLOT = struct.Struct("<Qd")
_PROBES = 8
_ATTEMPTS = 3
#: After so many seconds a file that could not be used is tried again: its disk was full, say.
AGAIN_SECONDS = 60.0

log = logging.getLogger("logservice")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many hits per so many seconds; also the number of hits an idle address may make at once."""

    count: int
    seconds: int

    def __post_init__(self) -> None:
        if self.count < 1 or self.seconds < 1 or self.count > _MAX_PER_SECOND * self.seconds:
            raise ValueError(
                f"a rate of {self.count} in {self.seconds} seconds is not within 1 hit to 10^6 a second"
            )

    @classmethod
    def parse(cls, text: str) -> Rate | None:
        """Read `120/minute` (or /second, /hour, /day); `0`, `off` and empty text are None, no limit.

        Raises ValueError naming any other text.
        """
        value = text.strip()
        if value.lower() in ("", "0", "off"):
            return None
        found = _RATE.fullmatch(value)
        try:
            if found is not None:
                return cls(int(found[1]), _UNITS[found[2].lower()])
        except ValueError:
            pass
        raise ValueError(
            f"rate limit {text!r} is neither off nor 1 or more per second, minute, hour or day, "
            "written like 120/minute"
        )

    @property
    def interval(self) -> float:
        """Seconds between two hits, rounded down: after `seconds` a full burst is always back."""
        return self.seconds * _TICKS // self.count / _TICKS


class RateLimiter:
    """Admits `rate` per address, counted over all processes that name the same file.

    The file, which is ours alone (foreign content is overwritten), is opened at the first hit and again after
    a fork. Without a path, or while the file cannot be used, which is tried again each minute, a warning is
    logged and the process counts for itself. When the slots run short, the address that is refilled first is
    forgotten. Safe between threads.
    """

    def __init__(
        self,
        path: Path | None,
        rate: Rate,
        *,
        slots: int = 65536,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if slots < 1:
            raise ValueError(f"a rate limiter needs at least one slot, not {slots}")
        self.path = path
        self.rate = rate
        self._slots = slots
        self._clock = clock
        self._burst = rate.count * rate.interval
        # A charge may run into debt, or one who is at the limit anyway would not feel it. The debt ends where
        # the wait would exceed a burst; that bounds the harm of a clock that steps back as well.
        self._furthest = 2 * self._burst - rate.interval
        self._stores: dict[int, _Store] = {}

    def hit(self, address: str, cost: int = 1) -> int:
        """Count `cost` hits (1 or more) of an address; return 0, or the whole seconds to wait if refused.

        A refused hit costs nothing. A cost above a whole burst counts as one burst. For a cost of 1 the wait
        is at most `rate.seconds`.
        """
        needed = min(cost, self.rate.count) * self.rate.interval
        name = _counted_as(address)
        with self._store().locked() as table:
            now = self._now()
            slot = table.find(name, now)
            ahead = self._ahead(slot, now)
            wait = ahead + needed - self._burst
            # Stored on refusal too: a time cut down because the clock stepped back has to start running.
            table.write(slot, now + (ahead if wait > 0 else ahead + needed))
        return max(0, math.ceil(wait))

    def charge(self, address: str, cost: int) -> None:
        """Count `cost` further hits of an address without asking; they delay its next ones."""
        name = _counted_as(address)
        with self._store().locked() as table:
            now = self._now()
            slot = table.find(name, now)
            ahead = self._ahead(slot, now) + cost * self.rate.interval
            table.write(slot, now + min(ahead, self._furthest))

    def _now(self) -> float:
        return math.floor(self._clock() * _TICKS) / _TICKS

    def _ahead(self, slot: _Slot, now: float) -> float:
        """Return by how many seconds the arrival time lies ahead of now, within its bounds."""
        # In this order a NaN out of a damaged file gives 0.
        return min(max(0.0, slot.arrival - now), self._furthest)

    def _store(self) -> _Store:
        process = os.getpid()
        store = self._stores.get(process)
        if store is None:
            # A fork shares the file lock with its parent, and may have inherited a thread lock held for ever.
            for stranger in self._stores.keys() - {process}:
                self._stores.pop(stranger, None)
            store = self._stores.setdefault(process, _Store(self.path, self._slots))
        return store


def _counted_as(address: str) -> str:
    """Return what is counted for an address: IPv6 by /64, which is what one customer gets; IPv4 whole."""
    found = read_address(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found), 64), strict=False))
    return address if found is None else str(found)


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where an address is counted (offset in bytes), its hash, and its arrival time in epoch seconds."""

    offset: int
    key: int
    arrival: float


class _Table:
    """Header and slots, wherever the memory comes from. Whoever uses it holds the lock."""

    def __init__(self, memory: mmap.mmap, slots: int) -> None:
        self._memory = memory
        self._slots = slots

    def intact(self) -> bool:
        """Return whether the header is still the one of such a table."""
        return self._memory[: _KIND.size] == _kind(self._slots)

    def find(self, name: str, now: float) -> _Slot:
        """Return the slot of a name; for a new one a free or expired one, else the first to expire."""
        key = self._hash(name)
        candidates: list[tuple[float, int]] = []
        for step in range(min(_PROBES, self._slots)):
            offset = _HEADER_SIZE + (key + step) % self._slots * _SLOT.size
            holder, arrival = _SLOT.unpack_from(self._memory, offset)
            if holder == key:
                return _Slot(offset, key, arrival)
            candidates.append((arrival, offset))
        # Free slots hold time 0 and expired ones a past time, so the earliest is the least loss.
        return _Slot(min(candidates)[1], key, now)

    def write(self, slot: _Slot, arrival: float) -> None:
        """Store the arrival time (epoch seconds) of the name that `find` found the slot for."""
        _SLOT.pack_into(self._memory, slot.offset, slot.key, arrival)

    def _hash(self, name: str) -> int:
        secret = self._memory[_KIND.size : _HEADER_SIZE]
        # Headers can smuggle in lone surrogates, which plain UTF-8 refuses.
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=secret).digest()
        return int.from_bytes(digest, "little") or 1  # 0 marks a free slot


class _Store:
    """The table as one process has it, behind a lock for its threads and one for all processes.

    A file lock belongs to the open file, which the threads of a process share: hence both.
    """

    def __init__(self, path: Path | None, slots: int) -> None:
        self._path = path
        self._slots = slots
        self._lock = threading.Lock()
        self._file: _SlotFile | None = None
        self._own: _Table | None = None
        self._failed_at = -math.inf

    @contextmanager
    def locked(self) -> Iterator[_Table]:
        """Hold both locks and hand out the table; never fails, for want of a file it is one in memory."""
        with self._lock:
            is_due = time.monotonic() - self._failed_at >= AGAIN_SECONDS
            file = self._lock_file() if is_due else None
            if file is None:
                yield self._own or self._fall_back("no file is configured")
                return
            try:
                yield file.table
            finally:
                file.unlock()

    def _lock_file(self) -> _SlotFile | None:
        if self._path is None:
            return None
        try:
            for _ in range(_ATTEMPTS):
                self._file = self._file or _SlotFile(self._path, self._slots)
                self._file.lock()
                if self._file.current():
                    self._own = None
                    return self._file
                self._file.close()
                self._file = None
            raise OSError(f"{self._path} is replaced again and again")
        except OSError as error:
            self._file, self._failed_at = None, time.monotonic()
            if self._own is None:
                self._fall_back(str(error))
            return None

    def _fall_back(self, reason: str) -> _Table:
        log.warning("rate limit: each process counts for itself, %s", reason)
        memory = mmap.mmap(-1, _size(self._slots))
        memory[:] = _blank(self._slots)
        self._own = _Table(memory, self._slots)
        return self._own


class _SlotFile:
    """The open file. Raises OSError when it cannot be opened, locked, made ours or mapped."""

    def __init__(self, path: Path, slots: int) -> None:
        self._size = _size(slots)
        # The first request may come before there is a database, and so before there is the folder.
        make_private(path.parent)
        self._descriptor = open_beside(path, path.parent, flags=os.O_NOFOLLOW)
        # Without a word to the lock: in a forked child that would release the lock of the parent.
        self._forget = weakref.finalize(self, os.close, self._descriptor)
        try:
            self.lock()
            self._prepare(slots)
            self._memory = mmap.mmap(self._descriptor, self._size)
            self.unlock()
        except BaseException:
            self.close()
            raise
        self.table = _Table(self._memory, slots)

    def lock(self) -> None:
        """Wait until no other process is at it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def unlock(self) -> None:
        """Let the others at it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of lock and file; the memory map keeps a copy of the descriptor, hence the unlocking."""
        if self._forget.alive:
            with suppress(OSError):
                self.unlock()
            self._forget()

    def current(self) -> bool:
        """Return whether this is still the file at its path, and whole. To be asked under the lock.

        Touching mapped memory beyond the end of a file kills the process, so the size is looked at first.
        """
        found = os.fstat(self._descriptor)
        return found.st_nlink > 0 and found.st_size == self._size and self.table.intact()

    def _prepare(self, slots: int) -> None:
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError("the path of the rate limit is no regular file")
        if stat.S_IMODE(found.st_mode) != 0o600:
            os.fchmod(self._descriptor, 0o600)
        if found.st_size == self._size and os.pread(self._descriptor, _KIND.size, 0) == _kind(slots):
            return
        os.ftruncate(self._descriptor, 0)
        # Zeros are written out because a hole that finds the disk full later would kill the process.
        if os.pwrite(self._descriptor, _blank(slots), 0) != self._size:
            raise OSError("no space for the file of the rate limit")


def _size(slots: int) -> int:
    return _HEADER_SIZE + slots * _SLOT.size


def _kind(slots: int) -> bytes:
    return _KIND.pack(_MAGIC, slots)


def _blank(slots: int) -> bytes:
    """Return an empty table under a new random key."""
    return _kind(slots) + os.urandom(_KEY_SIZE) + bytes(slots * _SLOT.size)

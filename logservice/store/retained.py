"""Which rows usage without rows stems from, so that nothing is counted twice when one comes back.

A purge that keeps usage writes down the rows it takes, each by its id and a checksum of what it was about:
about six bytes. A row that is imported again, from an archive or an export, takes its usage back with it.
"""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from . import ids
from .tables import records, retained

#: How usage without rows is marked in the buckets: kept by a purge, or lying in an archive as well.
KEPT, ARCHIVED = MARKS = 1, 2
_MOST = 8_192
#: Rows that are read at once.
_PAGE = 10_000
#: What tells a row from others of the same id: what never changes of it.
ABOUT = ("type", "model_name", "quota", "prompt_tokens", "completion_tokens", "use_time_ms", "request_id")
_about = itemgetter(*ABOUT)

#: A row by its id and its checksum.
Trace = tuple[int, int]


@dataclass(slots=True)
class _Chunk:
    """Some rows of one type and one week, in order of their ids; `number` is None for a new one."""

    number: int | None
    retained: int
    log_type: int
    traces: list[Trace] = field(default_factory=list)
    is_changed: bool = False


def checksum(row: Mapping[str, Any]) -> int:
    """Return the checksum of a row: of what never changes of it."""
    return zlib.crc32(orjson.dumps(_about(row)))


def traces(
    connection: Connection, where: Sequence[ColumnElement[bool]], values: Mapping[str, Any]
) -> Iterator[tuple[int, Trace]]:
    """Yield the type and the trace of all rows that meet some conditions, in order of their ids."""
    columns = (records.c[name] for name in ABOUT)
    wanted = select(records.c.id, *columns).where(*where).order_by(records.c.id).limit(_PAGE)
    found = connection.execute(wanted, values).all()
    while found:
        for row_id, *about in found:
            yield about[0], (row_id, zlib.crc32(orjson.dumps(about)))
        beyond = records.c.id > found[-1].id
        found = connection.execute(wanted.where(beyond), values).all() if len(found) == _PAGE else []


def remember(
    connection: Connection,
    gone: Sequence[ColumnElement[bool]],
    values: Mapping[str, Any],
    *,
    mark: int = KEPT,
) -> None:
    """Write down the rows that are being deleted, those that meet all conditions, while usage is kept."""
    write_down(connection, traces(connection, gone, values), mark=mark)


def write_down(connection: Connection, gone: Iterable[tuple[int, Trace]], *, mark: int) -> None:
    """Write down traces, each with its type, in order of their ids."""
    open_chunks: dict[int, _Chunk] = {}
    week = -1
    for log_type, trace in gone:
        if ids.second_of(trace[0]) // ids.WEEK != week:
            _write_all(connection, open_chunks)
            week = ids.second_of(trace[0]) // ids.WEEK
        chunk = open_chunks.setdefault(log_type, _Chunk(None, mark, log_type))
        chunk.traces.append(trace)
        if len(chunk.traces) == _MOST:
            _write(connection, open_chunks.pop(log_type))
    _write_all(connection, open_chunks)


def _write_all(connection: Connection, chunks: dict[int, _Chunk]) -> None:
    for chunk in chunks.values():
        _write(connection, chunk)
    chunks.clear()


def take_back(
    connection: Connection, back: Sequence[Mapping[str, Any]], *, displaced: Iterable[int] = ()
) -> dict[int, list[Any]]:
    """Return those of some rows, each with the id it came with, whose usage is there already, by its mark.

    A row whose id belonged to another one, or does so now (`displaced`), went by a new id then: it is known
    by its checksum among the rows of its second. They are forgotten: whoever asks stores them, and takes that
    usage away.
    """
    if not back:
        return {}
    seconds = [ids.second_of(row["id"]) for row in back]
    low, high = ids.first_id(min(seconds)), ids.first_id(max(seconds) + 1)
    chunks = _chunks(connection, _overlapping(low, high))
    found: dict[int, list[Any]] = defaultdict(list)
    wanted: dict[Any, list[Any]] = defaultdict(list)
    for row in back:
        wanted[row["id"], checksum(row)].append(row)
    taken = {row_id for chunk in chunks for row_id, _ in chunk.traces} | {*displaced}
    _take(chunks, wanted, found, known_by=lambda trace: trace)
    elsewhere: dict[Any, list[Any]] = defaultdict(list)
    for (row_id, one), rows in wanted.items():
        if row_id in taken:
            elsewhere[ids.second_of(row_id), one] += rows
    _take(chunks, elsewhere, found, known_by=lambda trace: (ids.second_of(trace[0]), trace[1]))
    for chunk in chunks:
        if chunk.is_changed:
            _write(connection, chunk)
    return found


def _take(
    chunks: Sequence[_Chunk],
    wanted: Mapping[Any, list[Any]],
    found: dict[int, list[Any]],
    *,
    known_by: Callable[[Trace], Any],
) -> None:
    """Move the rows that are wanted to those that are found, and take their traces out of the chunks."""
    for chunk in chunks if any(wanted.values()) else ():
        left = []
        for trace in chunk.traces:
            rows = wanted.get(known_by(trace))
            if rows:
                found[chunk.retained].append(rows.pop())
                chunk.is_changed = True
            else:
                left.append(trace)
        chunk.traces = left


def forget(connection: Connection, before: int, *, log_type: int | None = None) -> None:
    """Forget the rows with an id below one, of one type or of all: their usage is no longer kept."""
    of_type = [] if log_type is None else [retained.c.type == log_type]
    connection.execute(delete(retained).where(retained.c.last_id < before, *of_type))
    for chunk in _chunks(connection, [retained.c.first_id < before, *of_type]):
        chunk.traces = [trace for trace in chunk.traces if trace[0] >= before]
        _write(connection, chunk)


def kept(connection: Connection, low: int, high: int) -> list[tuple[int, Trace]]:
    """Return the rows, with their types, with ids from `low` to below `high` whose usage no archive has."""
    chunks = _chunks(connection, [retained.c.retained == KEPT, *_overlapping(low, high)], locked=False)
    inside = [(one.log_type, trace) for one in chunks for trace in one.traces if low <= trace[0] < high]
    return sorted(inside, key=lambda one: one[1])


def mark_archived(connection: Connection, low: int, high: int) -> None:
    """Note that the usage of rows with ids from `low` to below `high` lies in an archive from now on."""
    moved: list[_Chunk] = []
    for chunk in _chunks(connection, [retained.c.retained == KEPT, *_overlapping(low, high)]):
        inside = [trace for trace in chunk.traces if low <= trace[0] < high]
        moved.append(_Chunk(None, ARCHIVED, chunk.log_type, inside))
        chunk.traces = [trace for trace in chunk.traces if not low <= trace[0] < high]
        _write(connection, chunk)
    for chunk in moved:
        _write(connection, chunk)


def _overlapping(low: int, high: int) -> list[ColumnElement[bool]]:
    return [retained.c.first_id < high, retained.c.last_id >= low]


def _chunks(
    connection: Connection, where: Sequence[ColumnElement[bool]], *, locked: bool = True
) -> list[_Chunk]:
    """Read chunks, and if they are to be changed keep others from them until the transaction ends."""
    wanted = select(retained).where(*where).order_by(retained.c.id)
    found = connection.execute(wanted.with_for_update() if locked else wanted)
    return [_Chunk(row.id, row.retained, row.type, unpack(row.packed)) for row in found]


def _write(connection: Connection, chunk: _Chunk) -> None:
    """Store a chunk as it is now; one that became empty goes."""
    this = retained.c.id == chunk.number
    if not chunk.traces:
        connection.execute(delete(retained).where(this))
        return
    first, last = chunk.traces[0][0], chunk.traces[-1][0]
    values = {"first_id": first, "last_id": last, "packed": pack(chunk.traces)}
    if chunk.number is None:
        values |= {"retained": chunk.retained, "type": chunk.log_type}
        connection.execute(insert(retained).values(values))
    else:
        connection.execute(update(retained).where(this).values(values))


def pack(found: Sequence[Trace]) -> bytes:
    """Pack traces, at least one, in order of their ids: the distances between these, then the checksums."""
    row_ids, checksums = zip(*found, strict=True)
    distances = (row_id - before for row_id, before in zip(row_ids, (0, *row_ids[:-1]), strict=True))
    return zlib.compress(struct.pack(f"<{len(found)}Q{len(found)}I", *distances, *checksums), 1)


def unpack(packed: bytes) -> list[Trace]:
    """Return traces that were packed."""
    plain = zlib.decompress(packed)
    number = len(plain) // 12
    numbers = struct.unpack(f"<{number}Q{number}I", plain)
    found, row_id = [], 0
    for distance, one in zip(numbers[:number], numbers[number:], strict=True):
        row_id += distance
        found.append((row_id, one))
    return found

"""Which rows usage without rows stems from, so that nothing is counted twice when one comes back.

A purge that keeps usage writes down the rows it takes, each by its id and a checksum of what it was about:
about six bytes. A row that is imported again, from an archive or an export, takes its usage back with it.
"""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
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


def checksum(row: Mapping[str, Any]) -> int:
    """Return the checksum of a row: of what never changes of it."""
    return zlib.crc32(orjson.dumps(_about(row)))


def traces(
    connection: Connection, where: Sequence[ColumnElement[bool]], values: Mapping[str, Any]
) -> list[tuple[int, Trace]]:
    """Return the type and the trace of all rows that meet some conditions, in order of their ids."""
    columns = (records.c[name] for name in ABOUT)
    found = connection.execute(select(records.c.id, *columns).where(*where).order_by(records.c.id), values)
    return [(about[0], (row_id, zlib.crc32(orjson.dumps(about)))) for row_id, *about in found]


def remember(
    connection: Connection,
    gone: Sequence[ColumnElement[bool]],
    values: Mapping[str, Any],
    *,
    mark: int = KEPT,
) -> None:
    """Write down the rows that are being deleted, those that meet all conditions, while usage is kept."""
    open_chunks: dict[tuple[int, int], _Chunk] = {}
    done: list[_Chunk] = []
    for log_type, trace in traces(connection, gone, values):
        week = ids.second_of(trace[0]) // ids.WEEK
        chunk = open_chunks.setdefault((log_type, week), _Chunk(None, mark, log_type))
        chunk.traces.append(trace)
        if len(chunk.traces) == _MOST:
            done.append(open_chunks.pop((log_type, week)))
    for chunk in (*done, *open_chunks.values()):
        _write(connection, chunk)


def take_back(connection: Connection, back: Iterable[Mapping[str, Any]]) -> dict[int, list[Any]]:
    """Return those of some rows, each with the id it had, whose usage is there already, by its mark.

    They are forgotten: whoever asks stores them, and takes that usage away.
    """
    by_trace: dict[Trace, Any] = {(row["id"], checksum(row)): row for row in back}
    found: dict[int, list[Any]] = defaultdict(list)

    def stays(chunk: _Chunk, trace: Trace) -> bool:
        row = by_trace.pop(trace, None)
        if row is not None:
            found[chunk.retained].append(row)
        return row is None

    if by_trace:
        row_ids = [row_id for row_id, _ in by_trace]
        _thin_out(connection, stays, [*_overlapping(min(row_ids), max(row_ids) + 1)])
    return found


def forget(connection: Connection, before: int, *, log_type: int | None = None) -> None:
    """Forget the rows with an id below one, of one type or of all: their usage is no longer kept."""
    of_type = [] if log_type is None else [retained.c.type == log_type]
    connection.execute(delete(retained).where(retained.c.last_id < before, *of_type))
    across = [retained.c.first_id < before, *of_type]
    _thin_out(connection, lambda _, trace: trace[0] >= before, across)


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


def _thin_out(
    connection: Connection, stays: Callable[[_Chunk, Trace], bool], where: Sequence[ColumnElement[bool]]
) -> None:
    """Leave in some chunks only what stays."""
    for chunk in _chunks(connection, where):
        left = [trace for trace in chunk.traces if stays(chunk, trace)]
        if len(left) < len(chunk.traces):
            chunk.traces = left
            _write(connection, chunk)


def _chunks(connection: Connection, where: Sequence[ColumnElement[bool]]) -> list[_Chunk]:
    """Read chunks, and keep others from changing them until the transaction ends."""
    found = connection.execute(select(retained).where(*where).order_by(retained.c.id).with_for_update())
    return [_Chunk(row.id, row.retained, row.type, _unpacked(row.packed)) for row in found]


def _write(connection: Connection, chunk: _Chunk) -> None:
    """Store a chunk as it is now; one that became empty goes."""
    this = retained.c.id == chunk.number
    if not chunk.traces:
        connection.execute(delete(retained).where(this))
        return
    first, last = chunk.traces[0][0], chunk.traces[-1][0]
    values = {"first_id": first, "last_id": last, "packed": _packed(chunk.traces)}
    if chunk.number is None:
        values |= {"retained": chunk.retained, "type": chunk.log_type}
        connection.execute(insert(retained).values(values))
    else:
        connection.execute(update(retained).where(this).values(values))


def _packed(found: Sequence[Trace]) -> bytes:
    """Pack traces in order of their ids: the distances between these first, then the checksums."""
    row_ids, checksums = zip(*found, strict=True)
    distances = (row_id - before for row_id, before in zip(row_ids, (0, *row_ids[:-1]), strict=True))
    return zlib.compress(struct.pack(f"<{len(found)}Q{len(found)}I", *distances, *checksums), 1)


def _unpacked(packed: bytes) -> list[Trace]:
    plain = zlib.decompress(packed)
    number = len(plain) // 12
    numbers = struct.unpack(f"<{number}Q{number}I", plain)
    found, row_id = [], 0
    for distance, one in zip(numbers[:number], numbers[number:], strict=True):
        row_id += distance
        found.append((row_id, one))
    return found

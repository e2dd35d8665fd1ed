"""`logservice import`: events from a file of lines, stored in batches."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

import click

from ..errors import InvalidValue, Unavailable
from ..store import records
from ..store.records import Record
from ..store.store import LogStore
from .group import with_store
from .output import echo_json, echo_note, json_option, progress

BATCH = 1000
#: Far above what the longest event takes, so that a file without lines does not fill the memory.
LONGEST_LINE = 4 * 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Batch:
    """Some consecutive lines, read: clean records, and by number the lines that were refused."""

    first_line: int
    last_line: int
    size: int = 0
    accepted: list[Record] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)


@click.command("import")
@click.argument("file", type=click.File("rb"))
@json_option
@with_store
def import_events(store: LogStore, file: BinaryIO, as_json: bool) -> None:
    """Store the events of FILE, one JSON object a line; `-` reads standard input.

    Lines that cannot be stored are reported by number on standard error; all others are stored, in batches
    of 1000. Ids are given anew, so a file that is imported twice is stored twice.
    The exit status is 1 when any line was refused.
    """
    accepted = refused = 0
    with progress("Importing", _size(file)) as advance:
        for batch in read_batches(file, store):
            _store(store, batch)
            accepted += len(batch.accepted)
            refused += len(batch.refused)
            advance(batch.size)
    if as_json:
        echo_json({"accepted": accepted, "refused": refused})
    else:
        click.echo(f"Accepted {accepted:,} events, refused {refused:,}.")
    if refused:
        sys.exit(1)


def read_batches(file: BinaryIO, store: LogStore) -> Iterator[Batch]:
    """Yield the lines of a file, read, in batches; blank ones count but hold nothing."""
    lines = enumerate(_lines(file), start=1)
    while chunk := list(islice(lines, BATCH)):
        batch = Batch(first_line=chunk[0][0], last_line=chunk[-1][0])
        now = store.clock()
        for number, line in chunk:
            _read(batch, number, line, now)
        yield batch


def _read(batch: Batch, number: int, line: bytes, now: float) -> None:
    batch.size += len(line)
    if number == 1:
        line = line.removeprefix(_BYTE_ORDER_MARK)
    if not line.strip():
        return
    try:
        if len(line) > LONGEST_LINE:
            raise InvalidValue(f"the line is longer than {LONGEST_LINE} bytes")
        batch.accepted.append(records.from_json(line, now=now))
    except InvalidValue as error:
        batch.refused[number] = str(error)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines, one that is too long cut off just above the limit."""
    while line := file.readline(LONGEST_LINE + 1):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        yield line


def _store(store: LogStore, batch: Batch) -> None:
    """Store a batch. A failure says from which line on the file has yet to be imported."""
    try:
        store.record(batch.accepted)
    except (Unavailable, InvalidValue) as error:
        raise type(error)(f"{error}; nothing is stored from line {batch.first_line} on") from error
    except KeyboardInterrupt:
        lines = f"{batch.first_line} to {batch.last_line}"
        echo_note(f"interrupted while storing lines {lines}: they may be stored, those after them are not")
        raise
    for number, reason in batch.refused.items():
        echo_note(f"line {number}: {reason}")


def _size(file: BinaryIO) -> int | None:
    """Return the size of a regular file; a pipe has none."""
    try:
        found = os.fstat(file.fileno())
    except (OSError, io.UnsupportedOperation):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None

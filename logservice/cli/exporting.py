"""`logservice export`: the rows of the log into a file, or to whoever reads our output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import click
from marshmallow import ValidationError

from ..counts import counted
from ..errors import InvalidValue, Unavailable
from ..exports import formats
from ..exports.files import whole_file
from ..exports.formats import TextWriter, text_format
from ..exports.parquet import PARQUET, ParquetWriter
from ..store.queries import Query
from ..store.scope import Scope
from ..store.store import LogStore
from ..web import arguments
from ..web.audiences import ADMIN
from ..web.schemas import AllExport
from . import times
from .group import with_store
from .output import echo_note, progress

_FORMATS = (*formats.FORMATS, PARQUET)
#: What a file is by its ending, without one too.
_ENDINGS = {
    **dict.fromkeys(("", "json", "jsonl"), formats.NDJSON),
    **{name: name for name in _FORMATS},
}
#: The parameters of the list that narrow it, in the order in which the help shows them.
FILTERS = {
    "type": "Rows of this type, by number or name.",
    "start_timestamp": "Not older: epoch seconds, ISO 8601 or an age such as 90d.",
    "end_timestamp": "Not newer; the second itself is included.",
    "username": "Rows of this user; with % a pattern.",
    "token_name": "Calls with the key of this name; with % a pattern.",  # nosec B105 # the help
    "model_name": "This model; with % a pattern.",
    "channel": "The upstream with this number.",
    "group": "This group.",
    "request_id": "This request.",
    "ip": "Calls from this address.",
}
_NO_ROWS = "The log has no rows that these filters leave."
_TIMES = ("start_timestamp", "end_timestamp")


class Writer(Protocol):
    """Takes rows into a file."""

    def write(self, rows: formats.Rows) -> None:
        """Write some rows."""

    def close(self) -> None:
        """Write what is left."""


def _filter_options(command: Callable[..., None]) -> Callable[..., None]:
    for name, meaning in reversed(FILTERS.items()):
        command = click.option(f"--{name.replace('_', '-')}", name, metavar="TEXT", help=meaning)(command)
    return command


@click.command("export")
@click.option(
    "--format", "name", type=click.Choice(_FORMATS), help="By default what FILE ends with, else ndjson."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write into a file.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--bom", is_flag=True, help="Begin CSV with a byte order mark.")
@click.option("--after", metavar="ID", help="Go on behind the row with this id.")
@_filter_options
@with_store
def export(
    store: LogStore,
    /,
    name: str | None,
    output: Path | None,
    force: bool,
    bom: bool,
    after: str | None,
    **narrowed: str | None,
) -> None:
    """Write out rows, oldest first, with all that administrators see.

    The filters are those of GET /api/log/. A file is there as a whole or not at all, and replaces another
    only with --force. `logservice import` takes every format back, each row as it was.
    """
    name = name or _by_ending(output)
    query = _query({**narrowed, "after": after}, now=store.clock())
    if output is None:
        _to_output(store, query, name, byte_order_mark=bom)
        return
    with whole_file(output, replace=force) as file:
        rows = _to_file(store, query, _writer(name, file, byte_order_mark=bom))
    click.echo(f"Exported {counted(rows, 'row')}.")
    if rows == 0:
        echo_note(_NO_ROWS)


def _by_ending(output: Path | None) -> str:
    ending = "" if output is None else output.suffix.removeprefix(".").lower()
    if ending not in _ENDINGS:
        raise InvalidValue(
            f"{output}: an ending that says no format; --format does, or .csv, .parquet, .ndjson"
        )
    return _ENDINGS[ending]


def _query(given: dict[str, str | None], *, now: float) -> Query:
    """Return what was asked for, read as the HTTP interface reads it."""
    texts = {name: text for name, text in given.items() if text is not None}
    texts |= {name: _second(name, texts[name], now) for name in _TIMES if name in texts}
    try:
        found = AllExport().load(texts)
    except ValidationError as error:
        name, _, reason = arguments.first_message(error).partition(":")
        raise InvalidValue(f"--{name.replace('_', '-')}:{reason}") from None
    return arguments.export_query(found, Scope.site())


def _second(name: str, text: str, now: float) -> str:
    """Return a moment in epoch seconds; 0 is an open end, as in the HTTP interface."""
    if text.strip() in ("", "0"):
        return "0"
    try:
        return str(times.parse(text, now=now))
    except InvalidValue as error:
        raise InvalidValue(f"--{name.replace('_', '-')}: {error}") from None


def _writer(name: str, file: BinaryIO, *, byte_order_mark: bool) -> Writer:
    if name == PARQUET:
        return ParquetWriter(file, ADMIN.fields)
    return TextWriter(file, text_format(name, ADMIN.fields, byte_order_mark=byte_order_mark))


def _to_file(store: LogStore, query: Query, writer: Writer) -> int:
    total = 0
    with progress("Exporting", store.count_exported(query)) as advance:
        for rows in _batches(store, query):
            writer.write(rows)
            total += len(rows)
            advance(len(rows), len(rows))
    writer.close()
    return total


def _to_output(store: LogStore, query: Query, name: str, *, byte_order_mark: bool) -> None:
    """Write to standard output; where the database fails, say how to go on."""
    writer = _writer(name, sys.stdout.buffer, byte_order_mark=byte_order_mark)
    last: int | None = None
    try:
        for rows in _batches(store, query):
            writer.write(rows)
            last = rows[-1].id
    except Unavailable as error:
        if last is None or name == PARQUET:
            raise
        writer.close()
        raise Unavailable(f"{error}; go on with --after {last}", detail=error.detail) from error
    writer.close()
    if last is None:
        echo_note(_NO_ROWS)


def _batches(store: LogStore, query: Query) -> Iterator[formats.Rows]:
    return (rows for rows in store.batches(query, fields=ADMIN.fields) if rows)

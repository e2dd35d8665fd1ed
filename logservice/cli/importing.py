"""`logservice import`: a file of events, or the whole log of a gateway."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

import click

from ..errors import InvalidValue
from ..imports import formats
from ..imports.formats import FORMATS
from ..imports.parquet import MAGIC
from ..sources.gateways import Flavour
from ..store.store import LogStore
from . import archive_importing, file_importing, gateway_importing
from .group import with_new_store
from .output import json_option
from .repeating import interval_option

_SQLITE = b"SQLite format 3\0"
#: How much of a file is looked at to tell what it is.
_BEGINNING = 64 * 1024
_GZIP = b"\x1f\x8b"
_FLAVOURS = {flavour.value: flavour for flavour in Flavour}
OURS = "logservice"


@click.command("import", short_help="Store a file of events, or the log of a gateway.")
@click.argument("source")
@interval_option("--follow", help="Go on with new rows, such as every 10s.")
@click.option("--dry-run", is_flag=True, help="Count, and show three rows as they would be stored.")
@click.option("--anew", is_flag=True, help="Take all of a gateway's log, whatever was imported before.")
@click.option(
    "--format", "name", type=click.Choice(FORMATS), help="What the file is, where that is not plain."
)
@click.option("--from", "origin", type=click.Choice([OURS, *_FLAVOURS]), help="Whose rows the file has.")
@json_option
@with_new_store
def import_source(
    store: LogStore,
    source: str,
    follow: int | None,
    dry_run: bool,
    anew: bool,
    name: str | None,
    origin: str | None,
    as_json: bool,
) -> None:
    """Move in: store what SOURCE holds.

    SOURCE is the database of a new-api or one-api gateway, as a URL (sqlite:///path, postgresql://...,
    mysql://...) or the path of an SQLite file; or a file of events, NDJSON or CSV, gzip or not; `-` reads
    standard input; or the folder of an archive, or a Parquet file of ours.

    An import that was interrupted goes on where it stopped when it is run again, and nothing is stored twice.
    Rows that cannot be stored are reported on standard error; the exit status is then 1.
    """
    if _is_parquet(source):
        _refuse({"--format": name, "--from": origin}, of="a file of lines")
        _refuse({"--follow": follow, "--anew": anew or None}, of="the database of a gateway")
        archive_importing.run(store, Path(source), dry_run=dry_run, as_json=as_json)
        return
    with ExitStack() as stack:
        file = None if _is_url(source) else stack.enter_context(_opened(source))
        url = source if file is None else _url_of_sqlite(source, file)
        if url is not None:
            _refuse({"--format": name, "--from": origin}, of="a file")
            _refuse({"--follow": follow if dry_run else None}, of="an import, not for --dry-run")
            options = gateway_importing.Options(anew=anew, dry_run=dry_run, follow=follow, as_json=as_json)
            gateway_importing.run(store, url, options)
        elif file is not None:
            _refuse({"--follow": follow, "--anew": anew or None}, of="the database of a gateway")
            job = _job(source, file, name=name, origin=origin)
            if job.name is None and source != "-":
                _refuse_prose(source, job.file)
            file_importing.run(store, job, dry_run=dry_run, as_json=as_json)


def _is_url(source: str) -> bool:
    return "://" in source or "@tcp(" in source


def _is_parquet(source: str) -> bool:
    """Whether the source is a folder, which is taken for an archive, or a Parquet file."""
    path = Path(source)
    if path.is_dir() or not path.is_file():
        return path.is_dir()
    with _opened(source) as file:
        return _starts_with(file, MAGIC)


def _url_of_sqlite(source: str, file: BinaryIO) -> str | None:
    return f"sqlite:///{Path(source).absolute()}" if _starts_with(file, _SQLITE) else None


def _job(source: str, file: BinaryIO, *, name: str | None, origin: str | None) -> file_importing.Job:
    unpacked = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if _starts_with(file, _GZIP) else file
    by_ending = "csv" if source.lower().removesuffix(".gz").endswith(".csv") else None
    return file_importing.Job(
        unpacked,
        size=_size(file) if unpacked is file else None,
        name=name or by_ending,
        flavour=_FLAVOURS.get(origin or OURS),
        is_ours=origin == OURS,
    )


def _refuse_prose(source: str, file: BinaryIO) -> None:
    """Refuse a file that is no log at all: each of its lines would be refused singly."""
    if not file.seekable():
        return
    try:
        beginning = file.read(_BEGINNING)
        file.seek(0)
    except (OSError, EOFError, zlib.error):
        # Damaged where it was packed: the import says after which line.
        file.seek(0)
        return
    if not formats.may_hold_events(beginning):
        raise InvalidValue(
            f"{source!r} is no log: its first lines are neither objects, as in NDJSON, nor a header of CSV"
            " with created_at; with --format it is read all the same"
        )


def _refuse(options: Mapping[str, object], *, of: str) -> None:
    """Refuse options that belong to another kind of source."""
    for option, value in options.items():
        if value is not None:
            raise InvalidValue(f"{option}: is for {of}")


def _opened(path: str) -> BinaryIO:
    if path == "-":
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        # It may be a way to name a database that is not known here, with a password in it.
        shown = "what was given" if "@" in path or "password" in path else repr(path)
        raise click.BadParameter(f"{shown}: {error.strerror}", param_hint="SOURCE") from None


def _starts_with(file: BinaryIO, beginning: bytes) -> bool:
    """Whether a file begins so, without passing anything of it."""
    if not file.seekable():
        return isinstance(file, io.BufferedReader) and file.peek(len(beginning)).startswith(beginning)
    found = file.read(len(beginning))
    file.seek(0)
    return found == beginning


def _size(file: BinaryIO) -> int | None:
    """Return the size of a regular file; a pipe has none."""
    try:
        found = os.fstat(file.fileno())
    except (OSError, io.UnsupportedOperation):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None

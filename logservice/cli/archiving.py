"""`logservice archive`: old days move out of the log into Parquet files."""

from __future__ import annotations

from pathlib import Path

import click

from ..archives.archiving import Archiving
from ..archives.folder import date_of
from ..counts import counted
from ..errors import InvalidValue
from ..store.archiving import Day
from ..store.store import LogStore
from . import times
from .group import with_store
from .output import echo_json, echo_table, json_option, progress


@click.command(short_help="Move old days out of the log into Parquet files.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--older-than",
    "before",
    required=True,
    metavar="TIME",
    help="An age such as 180d, epoch seconds or ISO 8601; whole days (UTC) before it.",
)
@click.option("--dry-run", is_flag=True, help="Only show which days would be archived.")
@click.option("--forget", is_flag=True, help="Give up an unfinished archive whose file is lost.")
@json_option
@with_store
def archive(store: LogStore, folder: Path, before: str, dry_run: bool, forget: bool, as_json: bool) -> None:
    """Move old days into Parquet files in DIR, one a day, and delete them from the log.

    A day is deleted once its file is on disk and was read back with the sums of the log. Its usage stays in
    the statistics. `logservice import DIR` brings everything back.
    """
    archiving = Archiving(store, folder, before=_before(before, store.clock()))
    if dry_run:
        _show(archiving.due(), as_json=as_json)
        return
    days = archiving.due()
    written, deleted = 0, 0
    try:
        # Each row is written first, and deleted then.
        with progress("Archiving", 2 * sum(day.rows for day in days)) as advance:
            for step in archiving.run(forget=forget):
                written += step.written
                deleted += step.deleted
                advance(step.written + step.deleted, step.written)
    except OSError as error:
        raise InvalidValue(
            f"{error.filename or folder}: {error.strerror}; what is not archived is kept"
        ) from None
    if as_json:
        echo_json({"days": len(days), "rows": written, "deleted": deleted})
    else:
        moved = f"{counted(written, 'row')} of {counted(len(days), 'day')}"
        click.echo(f"Archived {moved} in {folder}; {deleted:,} deleted from the log.")


def _before(text: str, now: float) -> int:
    try:
        return times.parse_past(text, now=now)
    except InvalidValue as error:
        raise InvalidValue(f"--older-than: {error}") from None


def _show(days: list[Day], *, as_json: bool) -> None:
    found = [(date_of(day.start), day.rows, day.has_usage) for day in days]
    if as_json:
        echo_json([{"day": day, "rows": rows, "usage": has_usage} for day, rows, has_usage in found])
        return
    rows = [[day, f"{number:,}", "yes" if has_usage else "no"] for day, number, has_usage in found]
    echo_table(["DAY", "ROWS", "KEPT USAGE"], rows)

"""Commands that look after the database: `init-db`, `purge`, `rebuild`."""

from __future__ import annotations

import click

from ..counts import counted
from ..errors import InvalidValue
from ..store import log_types
from ..store.retention import Purge
from ..store.store import LogStore
from . import times
from .group import with_new_store, with_store
from .output import echo_json, json_option, moment, progress

#: What becomes of usage, by whether it is kept.
_USAGE = {
    False: ", with their usage and all usage kept from before; --keep-usage leaves it",
    True: "; their usage stays",
}


@click.command("init-db", short_help="Create the database, or bring it up to date.")
@click.option("--partitioned", is_flag=True, help="Keep rows in a partition for each month (PostgreSQL).")
@with_new_store
def init_db(store: LogStore, partitioned: bool) -> None:
    """Create what is missing of the database, or bring it up to date. Nobody gets a login by it."""
    store.create(partitioned=partitioned)
    click.echo("The database is ready.")


@click.command(short_help="Delete rows older than a time.")
@click.option(
    "--before", required=True, metavar="TIME", help="Epoch seconds, ISO 8601 or an age such as 90d."
)
@click.option("--type", "log_type", metavar="TYPE", help="Only rows of this type, by number or name.")
@click.option("--keep-usage", is_flag=True, help="Leave what the rows used in the statistics.")
@click.option("--dry-run", is_flag=True, help="Only count the rows.")
@json_option
@with_store
def purge(
    store: LogStore, *, before: str, log_type: str | None, keep_usage: bool, dry_run: bool, as_json: bool
) -> None:
    """Delete rows older than TIME, with their usage unless that is to be kept.

    With it goes usage that is as old and that earlier purges or a retention kept. An age is written 30m, 12h,
    90d or 2w; ISO 8601 without a zone is UTC. A purge that is cut short leaves a sound log, and running it
    again goes on where it stopped.
    """
    old = Purge(before=_before(before, store.clock()), log_type=_type(log_type), keep_usage=keep_usage)
    rows = store.to_purge(old) if dry_run else _purge(store, old)
    if as_json:
        said = {"before": old.before, "type": old.log_type, "keep_usage": keep_usage}
        echo_json({**said, "rows": rows, "dry_run": dry_run})
        return
    done = "Would delete" if dry_run else "Deleted"
    click.echo(f"{done} {counted(rows, 'row')} older than {moment(old.before)}{_USAGE[keep_usage]}.")


@click.command()
@json_option
@with_store
def rebuild(store: LogStore, as_json: bool) -> None:
    """Build the usage sums anew from the rows. Usage kept from purged rows stays."""
    days = 0
    with progress("Rebuilding") as advance:
        for _ in store.rebuild():
            days += 1
            advance(1)
    if as_json:
        echo_json({"days": days})
        return
    if not store.has_sums:
        click.echo("There is nothing to rebuild: statistics are computed from the rows themselves.")
        return
    click.echo(f"Rebuilt the usage of {counted(days, 'day')}.")


def _purge(store: LogStore, old: Purge) -> int:
    deleted = 0
    with progress("Purging", store.to_purge(old)) as advance:
        for rows in store.purge(old):
            deleted += rows
            advance(rows, rows)
    return deleted


def _before(text: str, now: float) -> int:
    try:
        return times.parse_past(text, now=now)
    except InvalidValue as error:
        raise InvalidValue(f"--before: {error}") from None


def _type(text: str | None) -> int | None:
    """Return the number of a type; 0 stands for all, as in the HTTP interface."""
    return None if text in (None, "0") else int(log_types.parse(text))

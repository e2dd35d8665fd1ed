"""`logservice maintain`: what is to be done from time to time, once or every so often."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from ..counts import counted
from ..errors import Conflict, InvalidValue, Unavailable
from ..store import size_cap
from ..store.maintenance import Due, Maintenance, Outcome
from ..store.size_cap import Excess
from ..store.store import LogStore
from ..web.state import current_state
from .group import with_store
from .output import echo_json, echo_note, echo_table, json_option, moment, progress
from .repeating import interval_option, until_told_to_stop


@click.command(short_help="Delete rows whose time is over, and give their space back.")
@interval_option("--every", help="Stay, and do it again every so often, such as 1h.")
@click.option("--dry-run", is_flag=True, help="Only show what would go, by type.")
@click.option("--drop-usage", is_flag=True, help="Take the usage of deleted rows out of the statistics too.")
@json_option
@with_store
def maintain(store: LogStore, every: int | None, dry_run: bool, drop_usage: bool, as_json: bool) -> None:
    """Delete rows that LOGSERVICE_RETENTION no longer keeps, and give their space back.

    Where the log takes more than LOGSERVICE_MAX_DB_SIZE, the oldest rows of types that LOGSERVICE_RETENTION
    names go, until it takes 90 % of that. The usage of deleted rows stays in the statistics. Only one
    maintenance is under way at a time: a second one says so, and leaves it at that.
    """
    if dry_run and every is not None:
        raise InvalidValue("--every: not with --dry-run, which shows once what would go")
    rules, cap = current_state().retention, current_state().settings.max_db_size
    if cap is not None and not rules:
        raise InvalidValue(
            "LOGSERVICE_MAX_DB_SIZE: only rows of types that LOGSERVICE_RETENTION names are deleted, and it"
            " names none"
        )
    maintenance = Maintenance(store, rules, keep_usage=not drop_usage, cap=cap)
    if not rules:
        echo_note("LOGSERVICE_RETENTION names no type, so all rows are kept.")
    if dry_run:
        due = maintenance.due()
        _show(due, as_json=as_json)
        if cap is not None and not as_json:
            _tell_of_cap(due, size_cap.measure(store, cap))
        return
    _once(maintenance, as_json=as_json)
    if every is not None:
        with until_told_to_stop() as heed:
            while True:
                time.sleep(every)
                _again(maintenance, heed, as_json=as_json)


def _once(maintenance: Maintenance, *, as_json: bool) -> None:
    try:
        with progress("Deleting", sum(due.rows for due in maintenance.due())) as advance:
            for rows in maintenance.run():
                advance(rows, rows)
    except Conflict as error:
        click.echo(f"Nothing done: {error}.")
        return
    _tell(maintenance.outcome, as_json=as_json)
    if maintenance.excess is not None:
        _complain(maintenance.excess)


def _tell(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        by_reason = {"by_age": outcome.by_age, "by_size": outcome.by_size}
        echo_json({"deleted": outcome.rows, **by_reason, "bytes_given_back": outcome.bytes_given_back})
        return
    if not outcome.rows:
        click.echo("Deleted 0 rows.")
        return
    reasons = {"age": outcome.by_age, "size": outcome.by_size}
    counts = [
        (name, f"{rows:,}", reason) for reason, gone in reasons.items() for name, rows in gone.items() if rows
    ]
    echo_table(["TYPE", "ROWS", "REASON"], counts)
    click.echo(f"Deleted {counted(outcome.rows, 'row')}; {outcome.bytes_given_back:,} bytes were given back.")


def _complain(excess: Excess) -> None:
    echo_note(
        f"The log takes {excess.taken:,} bytes, more than the {excess.cap:,} of LOGSERVICE_MAX_DB_SIZE, and"
        " nothing more may go: rows of this hour, of types that LOGSERVICE_RETENTION does not name, and usage"
        " stay."
    )


def _again(maintenance: Maintenance, heed: Callable[[], None], *, as_json: bool) -> None:
    """Do it again; a database that cannot be reached is tried again the next time."""
    try:
        _once(maintenance, as_json=as_json)
    except Unavailable as error:
        heed()
        echo_note(f"{error}; trying again")


def _show(due: list[Due], *, as_json: bool) -> None:
    if as_json:
        echo_json(
            [
                {
                    "type": one.rule.name,
                    "before": one.purge.before,
                    "rows": one.rows,
                    "bytes": one.bytes,
                    "reason": _reason(one),
                }
                for one in due
            ]
        )
        return
    rows = [
        [one.rule.name, moment(one.purge.before), f"{one.rows:,}", f"{one.bytes:,}", _reason(one)]
        for one in due
    ]
    echo_table(["TYPE", "OLDER THAN", "ROWS", "BYTES, ABOUT", "REASON"], rows)
    click.echo(f"Would delete {counted(sum(one.rows for one in due), 'row')}; nothing was deleted.")


def _tell_of_cap(due: list[Due], excess: Excess) -> None:
    """Say what the size cap has to do with it."""
    by_size = sum(one.rows for one in due if one.by_size)
    left = excess.taken - sum(one.bytes for one in due)
    if by_size:
        what = f"so about {counted(by_size, 'row')} would go for its size"
    else:
        what = "and no more may go for its size" if left > excess.cap else "so none would go for its size"
    click.echo(
        f"The log takes {excess.taken:,} of the {excess.cap:,} bytes of LOGSERVICE_MAX_DB_SIZE, {what}."
    )


def _reason(due: Due) -> str:
    return "size" if due.by_size else "age"

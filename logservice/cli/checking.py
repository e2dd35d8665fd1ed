"""`logservice check`: what the log holds and takes, and whether its sums agree with its rows."""

from __future__ import annotations

import click

from ..store.checking import Report
from ..store.drift import Drift
from ..store.schema import newest_version
from ..store.store import LogStore
from .group import with_store
from .output import echo_json, echo_table, json_option, moment, printable, progress

#: Columns for the names of figures.
_ROOM = 20


@click.command(short_help="Check whether the usage sums agree with the rows.")
@click.option("--full", is_flag=True, help="Compare all days, not some; and ask the database about damage.")
@json_option
@with_store
def check(store: LogStore, full: bool, as_json: bool) -> None:
    """Check whether the usage sums agree with the rows, and say what the log holds and takes.

    Nothing is changed. Exits with status 1 when something is wrong, and says what mends it.
    """
    checking = store.check(full=full)
    with progress("Checking", len(checking.days) if full else 0) as advance:
        for _ in checking.run():
            advance(1)
    report = checking.report
    if as_json:
        echo_json(report.to_mapping())
    else:
        _show(report)
    if not report.is_sound:
        raise click.ClickException(" ".join(_complaints(report)))


def _show(report: Report) -> None:
    if not report.is_current:
        return
    for name, value in _figures(report):
        click.echo(f"{name + ':':<{_ROOM}}{value}")
    if report.space is not None and report.space.tables:
        click.echo()
        echo_table(["TABLE", "BYTES"], [(name, f"{size:,}") for name, size in report.space.tables.items()])
    if report.types:
        click.echo()
        rows = [[one.name or one.number, f"{one.rows:,}", f"{one.bytes:,}"] for one in report.types]
        echo_table(["TYPE", "ROWS", "BYTES, ABOUT"], rows)
    if report.drift:
        click.echo()
        echo_table(["BUCKETS", "FROM", "OF", "EXPECTED", "FOUND"], [_row(one) for one in report.drift])
        if report.drifted > len(report.drift):
            click.echo(f"... and {report.drifted - len(report.drift):,} more")
    for line in report.damage:
        click.echo(printable(line))
    if report.is_sound:
        click.echo(f"\n{_all_is_well(report)}")


def _all_is_well(report: Report) -> str:
    if not report.has_sums:
        return _WITHOUT_SUMS[report.full]
    if report.days_checked < report.days:
        return f"Sound: {_compared(report)} compared, nothing differs; --full compares all."
    return f"Sound: all {_compared(report)} compared, nothing differs."


def _compared(report: Report) -> str:
    """Return how many days were compared, of how many if not of all."""
    of_all = f" of {report.days:,}" if report.days_checked < report.days else ""
    return f"{report.days_checked:,}{of_all} {'day' if report.days == 1 else 'days'}"


def _figures(report: Report) -> list[tuple[str, str]]:
    found = [("Schema", f"version {report.version}"), ("Rows", f"{report.rows:,}")]
    if report.oldest is not None and report.newest is not None:
        found += [("Oldest", moment(report.oldest)), ("Newest", moment(report.newest))]
    space = report.space
    if space is not None:
        sizes = (("Database", space.database), ("Write-ahead log", space.wal), ("Free on disk", space.free))
        found += [(name, f"{size:,} bytes") for name, size in sizes if size is not None]
    if report.has_sums:
        found.append(("Days compared", f"{report.days_checked:,} of {report.days:,}"))
    return found


def _row(found: Drift) -> list[str]:
    link = found.link
    names = " ".join(f"{name}={value}" for name, value in found.dimensions.items() if value != "")
    kept = ", kept usage" if link.retained else ""
    sides = (_sums(one, other) for one, other in _both(found))
    return [f"{link.table.name}, {link.span} s{kept}", moment(found.bucket), names, *sides]


def _both(found: Drift) -> list[tuple[dict[str, int] | None, dict[str, int] | None]]:
    expected = None if found.expected is None else dict(found.expected)
    there = None if found.found is None else dict(found.found)
    return [(expected, there), (there, expected)]


def _sums(one: dict[str, int] | None, other: dict[str, int] | None) -> str:
    """Return what differs of one side; all of it where the other is no bucket at all."""
    if one is None:
        return "none"
    return " ".join(f"{name}={value}" for name, value in one.items() if other is None or other[name] != value)


def _complaints(report: Report) -> list[str]:
    """Return a sentence about each kind of thing that is wrong."""
    if not report.is_current:
        return [_SCHEMA[report.schema].format(report.version, newest_version())]
    said = []
    if mended := report.drifted - report.cannot_be_mended:
        said.append(
            f"Usage sums that do not agree with the rows, in the {_compared(report)} compared: {mended:,};"
            " `logservice rebuild` mends them."
        )
    if report.cannot_be_mended:
        said.append(
            f"Sums of kept usage by model that contradict those by user: {report.cannot_be_mended:,}; "
            "a rebuild cannot tell which are right."
        )
    if report.wrong_seconds:
        said.append(
            f"Seconds of the last minutes whose rates do not agree with the rows: {report.wrong_seconds:,};"
            " `logservice rebuild` mends them."
        )
    said += [_TEXTS[name].format(f"{count:,}") for name, count in report.faults.items() if count]
    if report.damage:
        said.append("The database is damaged: restore a backup.")
    return said


#: What is said of a log without sums beside its rows, by whether the check was a full one.
_WITHOUT_SUMS = {
    False: "Sound as far as was looked: no sums lie beside the rows; --full has the engine check its files.",
    True: "Sound: the engine has checked its files, and no sums lie beside the rows.",
}
_SCHEMA = {
    "empty": "The database has no tables yet; `logservice init-db` creates them.",
    "older": "The database has the older schema {}; `logservice init-db` brings it up to date.",
    "newer": "The database has schema {}, and this program knows up to {}: install a newer one.",
}
_TEXTS = {
    "missing": "Contents that rows refer to and that are gone: {}; only a backup has them.",
    "unused": "Contents of no row, which only take space: {}.",
    "not_found_by_search": "Contents that a search does not find: {}.",
}

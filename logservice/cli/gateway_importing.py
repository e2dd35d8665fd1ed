"""Importing the log of a gateway: once, or as its companion that goes on with every new row."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import click

from ..counts import counted
from ..errors import Conflict, InvalidValue, Unavailable
from ..imports.databases import GatewayDatabase, open_database
from ..imports.gateway import GatewayImport, People
from ..store.store import LogStore
from .notices import telling_of_the_last_admin
from .output import SAMPLES, Refusals, echo_first, echo_json, echo_note, echo_samples, moment, progress
from .repeating import until_told_to_stop


@dataclass(frozen=True, slots=True)
class Options:
    """How to import: `follow` is the interval in seconds in which to go on, if at all."""

    anew: bool
    dry_run: bool
    follow: int | None
    as_json: bool


@dataclass(slots=True)
class _Figures:
    people: People
    rows: int = 0
    refused: int = 0

    def as_json(self) -> dict[str, int]:
        known = {"users": self.people.users, "tokens": self.people.tokens}
        return {"rows": self.rows, **known, "refused": self.refused}


def run(store: LogStore, url: str, options: Options) -> None:
    """Import the log of the gateway whose database a URL names."""
    with closing(open_database(url)) as database:
        if options.dry_run:
            _look(GatewayImport(store, database, anew=options.anew), database, as_json=options.as_json)
            return
        figures = _once(store, GatewayImport(store, database, anew=options.anew))
        _print(figures, database, as_json=options.as_json)
    if options.follow is not None:
        _follow(store, url, options, figures.people)
    elif figures.refused:
        sys.exit(1)


def _once(store: LogStore, importing: GatewayImport, *, before: People | None = None) -> _Figures:
    """Import what is there and was not yet; `before` are the people of the last time, if there was one."""
    shown, refusals = before is None, Refusals("row")
    if shown and importing.position.last:
        echo_note(f"Going on after row {importing.position.last:,}, up to which was imported before.")
    with telling_of_the_last_admin(store):
        figures = _Figures(importing.accounts(before))
    if figures.people != before:
        echo_first(figures.people.refused)
    with progress("Importing", importing.ids_to_go if shown else 0) as advance:
        for taken in importing.rows():
            figures.rows += taken.rows
            figures.refused += len(taken.found.refused)
            refusals.add(taken.found)
            advance(taken.ids, taken.rows)
    refusals.close()
    return figures


def _print(figures: _Figures, database: GatewayDatabase, *, as_json: bool) -> None:
    if as_json:
        echo_json({"gateway": database.flavour.value, **figures.as_json()})
        return
    users, tokens = counted(figures.people.users, "user"), counted(figures.people.tokens, "token")
    known = f"{users} and {tokens} are known"
    click.echo(
        f"Imported {counted(figures.rows, 'row')} of {database.flavour.value}, refused {figures.refused:,}; "
        + (known if database.has_accounts else "the database has no users and tokens")
        + "."
    )


def _follow(store: LogStore, url: str, options: Options, people: People) -> None:
    """Go on with new rows until somebody ends it; a database that fails is tried again.

    It is opened anew each time: the gateway may have moved to a newer version, or its file been replaced.
    """
    interval = options.follow or 0
    if not options.as_json:
        click.echo(f"Looking for new rows every {interval} s; Ctrl-C ends it.")
    failing = ""
    with until_told_to_stop() as heed:
        while True:
            time.sleep(interval)
            try:
                with closing(_opened_again(url)) as database:
                    figures = _once(store, GatewayImport(store, database), before=people)
            except (Unavailable, Conflict) as error:
                heed()
                # Said once for as long as it lasts.
                if str(error) != failing:
                    echo_note(f"{error}; trying again")
                failing = str(error)
                continue
            if failing:
                echo_note("All is well again.")
            failing, people = "", figures.people
            if figures.rows:
                _print_more(figures, as_json=options.as_json)


def _opened_again(url: str) -> GatewayDatabase:
    """Open a database that could be opened before: what is missing now may be back the next time."""
    try:
        return open_database(url)
    except InvalidValue as error:
        raise Unavailable(f"the gateway's database: {error}") from error


def _print_more(figures: _Figures, *, as_json: bool) -> None:
    now = moment(int(time.time()))
    if as_json:
        click.echo(json.dumps({"at": now, "rows": figures.rows, "refused": figures.refused}))
    else:
        click.echo(f"{now}  {counted(figures.rows, 'row')}")


def _look(importing: GatewayImport, database: GatewayDatabase, *, as_json: bool) -> None:
    """Count, and show some rows as they would be stored."""
    last = importing.position.last
    counts = Counter(database.count_by_type(last))
    people = (len(database.users()), len(database.tokens())) if database.has_accounts else (0, 0)
    samples: list[dict[str, Any]] = importing.samples(SAMPLES)
    if as_json:
        by_type = {str(kind): count for kind, count in sorted(counts.items())}
        echo_json(
            {
                "gateway": database.flavour.value,
                "rows": counts.total(),
                "rows_by_type": by_type,
                "users": people[0],
                "tokens": people[1],
                "samples": samples,
            }
        )
        return
    echo_samples(samples)
    click.echo(
        f"{counted(counts.total(), 'row')} of {database.flavour.value}, {counted(people[0], 'user')} and"
        f" {counted(people[1], 'token')} "
        "would be imported; nothing was stored."
    )

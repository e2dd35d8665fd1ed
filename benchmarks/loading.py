"""Filling both databases with the identical rows, once for each number of rows if they are kept."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from logservice.cli.output import progress
from logservice.demo import DEMO_USERS
from logservice.store import records

from .pairs import Pair, Sizes, opened
from .plan import Plan, say
from .rows import batches, history, values_of
from .serving import Logins, add_logins

YARDSTICK_BATCH = 50_000
OUR_BATCH = 5_000
#: The newest row lies this far behind a full hour: no edge of a range then falls on one of a bucket by luck.
ODD_SECONDS = 23 * 60 + 17


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded: the moment after the newest row, bytes on disk, and rows a second."""

    end: int
    yardstick_bytes: int
    our_bytes: int
    yardstick_rate: float
    our_rate: float

    @property
    def sizes(self) -> Sizes:
        """Bytes on disk of either side."""
        return Sizes(self.yardstick_bytes, self.our_bytes)


def loaded(plan: Plan, source: Pair, target: Pair) -> Loaded:
    """Fill `target`, to be measured on, with what `source` holds, loading that unless it was done before."""
    note = plan.databases / "loaded.json"
    if not note.exists():
        note.write_text(json.dumps(asdict(_load(plan.rows, source, end=_end()))))
    found = Loaded(**json.loads(note.read_text()))
    if plan.keep:
        say("Copying the databases, for measuring changes them")
    else:
        note.unlink()
    target.take(source, copy=plan.keep)
    return found


def forget(folder: Path) -> None:
    """Remove what an earlier run left behind."""
    shutil.rmtree(folder, ignore_errors=True)


def fill(pair: Pair, rows: int, *, end: int, label: str) -> float:
    """Store rows in our database as the service itself would, and return rows a second."""
    begun = time.perf_counter()
    now = time.time()
    with progress(label, rows) as advance, closing(pair.open_store()) as store:
        store.create()
        for batch in batches(history(rows, end=end), OUR_BATCH):
            store.record([records.from_mapping(row, now=now) for row in batch])
            advance(len(batch))
    return rows / (time.perf_counter() - begun)


@contextmanager
def filled(engine: str, rows: int, *, folder: Path | None, name: str) -> Iterator[tuple[Pair, Logins]]:
    """Fill a log that goes away after the block; the user is one whom its rows know."""
    with tempfile.TemporaryDirectory(prefix=f"logservice-{name}-", dir=folder and folder.resolve()) as place:
        # For the account of the server, which is another one where this is root's.
        Path(place).chmod(0o711)
        with opened(engine, Path(place)) as make_pair:
            pair = make_pair(name)
            try:
                pair.create()
                rate = fill(pair, rows, end=int(time.time()), label="Loading")
                click.echo(f"{pair.version()}: {rows:,} rows loaded, {rate:,.0f} rows/s")
                yield pair, add_logins(pair, DEMO_USERS[0].user_id, DEMO_USERS[0].username)
            finally:
                pair.remove()


def _load(rows: int, pair: Pair, *, end: int) -> Loaded:
    pair.create()
    yardstick_rate = _fill_yardstick(pair, rows, end=end)
    say(f"Loaded {rows:,} rows into the yardstick: {yardstick_rate:,.0f} rows/s")
    our_rate = fill(pair, rows, end=end, label="Loading ours")
    say(f"Loaded {rows:,} rows into ours: {our_rate:,.0f} rows/s")
    pair.settle()
    sizes = pair.sizes()
    return Loaded(end, sizes.yardstick, sizes.ours, yardstick_rate, our_rate)


def _fill_yardstick(pair: Pair, rows: int, *, end: int) -> float:
    # Its indexes grow with the rows, as in a gateway's life; made afterwards they leave the file 4 % smaller.
    begun = time.perf_counter()
    with progress("Loading the yardstick", rows) as advance, closing(pair.loading_yardstick()) as yardstick:
        for batch in batches(history(rows, end=end), YARDSTICK_BATCH):
            yardstick.load([values_of(row) for row in batch])
            advance(len(batch))
    return rows / (time.perf_counter() - begun)


def _end() -> int:
    """Return the last odd moment: rows of the day after it are not refused as lying too far ahead."""
    return (int(time.time()) - ODD_SECONDS) // 3600 * 3600 + ODD_SECONDS

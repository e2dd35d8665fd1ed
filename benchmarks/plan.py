"""What a run is to do: how many rows, on which engine, where, and with how much effort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from .choices import Choices
from .pairs import Pair
from .rows import Row
from .serving import Service


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long things are measured. Whatever comes first, a number or its seconds, ends one."""

    #: Requests for each read, and the most repetitions on the yardstick.
    repeats: int = 30
    #: The yardstick is repeated three times at least, then until these seconds have gone.
    yardstick_seconds: float = 5
    #: Posts of a thousand events, and posts of a single one.
    batches: int = 60
    singles: int = 10_000
    write_seconds: float = 30
    #: The small database, and how often its page is asked for.
    small_rows: int = 10_000
    small_requests: int = 3_000


QUICK = Effort(
    repeats=3,
    yardstick_seconds=0,
    batches=2,
    singles=100,
    write_seconds=10,
    small_rows=500,
    small_requests=50,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A run."""

    rows: int
    engine: str
    folder: Path
    keep: bool = False
    effort: Effort = Effort()

    @property
    def name(self) -> str:
        """What databases and results are called."""
        return f"{self.engine}-{self.rows}"

    def result(self, ending: str) -> Path:
        """Return the file for results of one kind."""
        return self.folder / f"{self.name}.{ending}"

    @property
    def databases(self) -> Path:
        """The folder of the databases."""
        return self.folder / self.name


@dataclass(frozen=True, slots=True)
class Stage:
    """All that a measurement needs: the databases, the running service, what to ask for, rows to write."""

    plan: Plan
    pair: Pair
    service: Service
    chosen: Choices
    #: Rows after the newest ones: the same for both sides, each taking its own.
    fresh_yardstick: Iterator[Row]
    fresh_ours: Iterator[Row]


def say(message: str) -> None:
    """Tell whoever waits what goes on."""
    click.echo(message, err=True)

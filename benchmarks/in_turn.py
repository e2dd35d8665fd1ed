"""Services with other numbers of workers and threads: python -m benchmarks.in_turn 2x16 3x12@any --rate 300

With `@any` workers run on any processor, instead of one each, and with `--beside` another checkout of
logservice serves the same log with each of the numbers as well.

All of them serve one log and are loaded one after the other, for some seconds each and in another order each
time: a shared machine is quick in one minute and slow in the next, and all have their share of both. What a
service can do is measured before each turn.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click

from .figures import percentile
from .loading import filled
from .offering import Offered
from .overload import capacity, overload
from .pairs import ENGINES
from .serving import Service, beside_option, checkouts, serving

#: Seconds for which it is measured what a service can do; the first time fills its caches and does not count.
CAPACITY_SECONDS = 2.0
POSITIVE = click.FloatRange(min=0, min_open=True)


@dataclass(slots=True)
class Contender:
    """A running service with so many workers of so many threads, and what came of its turns."""

    name: str
    service: Service
    can_do: list[float] = field(default_factory=list)
    found: Offered = field(default_factory=Offered)
    #: How many milliseconds the reads of each turn took.
    turns: list[list[float]] = field(default_factory=list)

    def measure(self) -> None:
        """Measure how many requests a second it can answer."""
        calm = capacity(self.service.port, self.service.logins.admin, seconds=CAPACITY_SECONDS)
        self.can_do.append(len(calm.answers) / calm.seconds)

    def take(self, rate: float, seconds: float) -> None:
        """Be offered so many requests a second."""
        busy = overload(self.service.port, self.service.logins.admin, rate=rate, seconds=seconds)
        self.turns.append(busy.milliseconds(200, "read"))
        self.found.add(busy)

    def described(self) -> Iterator[str]:
        """Yield lines on all of its turns."""
        _, *can_do = self.can_do
        yield f"{self.name}: can do {median(can_do):,.0f} requests/s"
        for line in self.found.described():
            yield f"  {line}"
        turns = (f"{percentile(took, 0.99):.0f}" if took else "none" for took in self.turns)
        yield "  p99 of reads in each turn: " + " ".join(turns) + " ms"


class Numbers(NamedTuple):
    """Workers and threads, and whether each worker keeps to one processor; written 3x12, or 3x12@any."""

    workers: int
    threads: int
    cpu_affinity: bool

    def __str__(self) -> str:
        return f"{self.workers}x{self.threads}" + ("" if self.cpu_affinity else "@any")


class NumbersType(click.ParamType):
    """Reads numbers of workers and threads."""

    name = "WORKERSxTHREADS[@any]"

    def convert(self, value: str, param: object, ctx: object) -> Numbers:
        """Return them."""
        found = re.fullmatch(r"([1-9]\d{0,2})x([1-9]\d{0,2})(@any)?", value)
        if found is None:
            self.fail(f"{value!r} is no number of workers and threads, such as 3x12")
        return Numbers(int(found[1]), int(found[2]), found[3] is None)


@click.command()
@click.argument("numbers", type=NumbersType(), nargs=-1, required=True)
@click.option("--rows", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--rate", type=POSITIVE, required=True, help="Requests offered a second.")
@click.option("--rounds", type=click.IntRange(1), default=6, show_default=True)
@click.option("--seconds", type=POSITIVE, default=6.0, show_default=True, help="For each turn.")
@click.option("--engine", type=click.Choice(list(ENGINES)), default="sqlite", show_default=True)
@beside_option
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where the database goes.")
def main(
    numbers: Sequence[Numbers],
    rows: int,
    rate: float,
    rounds: int,
    seconds: float,
    engine: str,
    beside: Path | None,
    folder: Path | None,
) -> None:
    """Fill a database, serve it with each of the numbers at once, and load these services in turn."""
    with filled(engine, rows, folder=folder, name="in_turn") as (pair, logins), ExitStack() as stack:
        log = pair.folder / "log"
        contenders = [
            Contender(
                str(one) if tree is None else f"{one} {side}",
                stack.enter_context(serving(pair, logins, log=log, tree=tree, **one._asdict())),
            )
            for one in numbers
            for side, tree in checkouts(beside).items()
        ]
        _load(contenders, rate=rate, rounds=rounds, seconds=seconds)
    for contender in contenders:
        for line in contender.described():
            click.echo(line)


def _load(contenders: Sequence[Contender], *, rate: float, rounds: int, seconds: float) -> None:
    for contender in contenders:
        contender.measure()
    for _ in range(rounds):
        for contender in random.sample(contenders, len(contenders)):  # nosec B311 # any order will do
            contender.measure()
            contender.take(rate, seconds)


if __name__ == "__main__":
    main()

"""What each kind of request takes while others ask for the same: python -m benchmarks.kinds

One worker is asked by clients who wait for their answers, for one kind after the other, round by round. With
`--beside` another checkout of logservice serves the same log and is asked in turn, which tells what a change
did: a shared machine is quick in one minute and slow in the next, and both have their share of that.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count, repeat
from pathlib import Path
from statistics import median

import click

from .figures import percentile
from .loading import filled
from .mixture import post, read, reads
from .offering import Offered, Request, ask
from .pairs import ENGINES
from .processes import processor_seconds
from .serving import Service, beside_option, checkouts, serving

_RANGE = re.compile(r"(start|end)_timestamp=\d+&?")
_POST = "post of one event"
#: Seconds for which each kind is asked before anything counts, so that caches are full.
_WARMING = 0.3


@dataclass(slots=True)
class Side:
    """A running service, and what came of each kind of request in each round."""

    name: str
    service: Service
    found: defaultdict[str, list[Offered]] = field(default_factory=lambda: defaultdict(list))
    processor: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def take(self, kind: str, *, clients: int, seconds: float) -> None:
        """Be asked for a kind by so many clients."""
        wanted = requests(kind, self.service.logins.admin)
        [worker] = self.service.workers()
        before = processor_seconds(worker)
        self.found[kind].append(ask(self.service.port, wanted, connections=clients, seconds=seconds))
        self.processor[kind] += processor_seconds(worker) - before

    def rates(self, kind: str) -> list[float]:
        """Return the answers a second of each round."""
        return [len(one.answers) / one.seconds for one in self.found[kind]]

    def described(self, kind: str) -> str:
        """Return the figures of a kind."""
        answers = [one for found in self.found[kind] for one in found.answers]
        took = [one.milliseconds for one in answers]
        failed = sum(one.status != 200 for one in answers)
        p50, p99 = (percentile(took, share) for share in (0.5, 0.99))
        processor = self.processor[kind] / len(answers) * 1000
        return (
            f"{median(self.rates(kind)):7.0f}/s  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  "
            f"processor {processor:5.2f} ms  failed {failed}"
        )


def kinds() -> Sequence[str]:
    """Return the names of the kinds: a path without its range of time, or what is posted."""
    return (*_paths(), _POST)


def requests(kind: str, access_token: str) -> Iterator[Request]:
    """Yield requests of a kind without an end."""
    paths, mark = _paths(), secrets.token_hex(4)
    if kind in paths:
        return repeat(read(access_token, paths[kind]))
    return (post(access_token, f"{mark}-{number}", number) for number in count())


def _paths() -> dict[str, str]:
    return {_RANGE.sub("", path).rstrip("?&"): path for path in reads(int(time.time()))}


@click.command()
@click.option("--rows", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--clients", type=click.IntRange(1), default=8, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=12, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=6, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True)
@click.option("--engine", type=click.Choice(list(ENGINES)), default="sqlite", show_default=True)
@beside_option
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where the database goes.")
def main(
    rows: int,
    clients: int,
    threads: int,
    rounds: int,
    seconds: float,
    engine: str,
    beside: Path | None,
    folder: Path | None,
) -> None:
    """Fill a database, serve it with one worker, and ask for one kind of request after the other."""
    with filled(engine, rows, folder=folder, name="kinds") as (pair, logins), ExitStack() as stack:
        sides = [
            Side(
                name,
                stack.enter_context(
                    serving(pair, logins, log=pair.folder / "log", workers=1, threads=threads, tree=tree)
                ),
            )
            for name, tree in checkouts(beside).items()
        ]
        _ask(sides, clients=clients, rounds=rounds, seconds=seconds)
    for kind in kinds():
        click.echo(kind)
        for side in sides:
            click.echo(f"  {side.name:7}{side.described(kind)}")
        if beside is not None:
            ratios = [
                ours / theirs for ours, theirs in zip(*(side.rates(kind) for side in sides), strict=True)
            ]
            click.echo(f"  here/beside: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def _ask(sides: Sequence[Side], *, clients: int, rounds: int, seconds: float) -> None:
    for side in sides:
        for kind in kinds():
            wanted = requests(kind, side.service.logins.admin)
            ask(side.service.port, wanted, connections=clients, seconds=min(_WARMING, seconds))
    for number in range(rounds):
        for kind in kinds():
            for side in sides if number % 2 else sides[::-1]:
                side.take(kind, clients=clients, seconds=seconds)


if __name__ == "__main__":
    main()

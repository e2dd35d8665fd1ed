"""Whether a service stays the same for long: python -m benchmarks.endurance --rows 1000000 --minutes 30

It is filled, and asked for more than a minute by more clients than it has threads, so that what looks at
the last minute has a full one, and all threads have been at work. What it can do is measured by clients who
wait for their answers, and a share of that is offered, reads and posts mixed, by clients who do not; every
few minutes anew, for others may use the same machine, and p99 and failures are told of each of these times.
Meanwhile the memory of its workers is sampled; how it grows is told without the first third of the time, in
which caches fill.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from .figures import percentile
from .loading import filled
from .offering import Offered
from .overload import capacity, overload
from .pairs import ENGINES
from .processes import memory
from .serving import Service, serving

#: What of a worker's memory is told: all of it, and its own, without the pages of the database file.
KINDS = ("VmRSS", "RssAnon")
SAMPLE_SECONDS = 5.0
WARMING = 1 / 3
#: Seconds until the last minute is full, and clients enough for all threads.
FILLING_SECONDS, FILLING_CLIENTS = 65.0, 64
#: For how many seconds it is measured what the service can do.
CAPACITY_SECONDS = 15.0
#: Into so many parts the time is divided, whose memory is told.
PARTS = 6
#: What has to be shown: MB an hour, milliseconds.
FLAT, QUICK = 1.0, 50.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The memory of all workers together at a moment, in MB by the kernel's own names."""

    at: float
    megabytes: dict[str, float]


@dataclass(slots=True)
class Memory:
    """Samples taken one after the other while something runs."""

    samples: list[Sample] = field(default_factory=list)

    @contextmanager
    def sampled(self, service: Service, *, every: float = SAMPLE_SECONDS) -> Iterator[None]:
        """Take samples beside the block."""
        ended = threading.Event()

        def sample() -> None:
            while not ended.wait(every):
                self.samples.append(_sample(service))

        sampler = threading.Thread(target=sample, daemon=True)
        sampler.start()
        try:
            yield
        finally:
            ended.set()
            sampler.join()

    def slope(self, kind: str) -> float:
        """Return by how many MB an hour it grows, once warm: the line of least squares."""
        warm = self.samples[int(len(self.samples) * WARMING) :]
        return slope([one.at for one in warm], [one.megabytes[kind] for one in warm]) * 3600

    def described(self) -> Iterator[str]:
        """Yield a line for each kind of memory."""
        for kind in KINDS:
            sizes = [one.megabytes[kind] for one in self.samples]
            yield (
                f"{kind:7} of all workers: {sizes[0]:.1f} MB at first, {sizes[-1]:.1f} MB at last, "
                f"at most {max(sizes):.1f} MB; {self.slope(kind):+.1f} MB/hour once warm"
            )
            means = " ".join(f"{mean:.1f}" for mean in parts(sizes))
            yield f"        on average of each of {PARTS} parts of the time: {means} MB"


def parts(values: Sequence[float]) -> Iterator[float]:
    """Yield the means of values that are cut into PARTS, all but the last of the same length."""
    length = max(1, len(values) // PARTS)
    for part in range(PARTS):
        some = values[part * length : (part + 1) * length] if part < PARTS - 1 else values[part * length :]
        if some:
            yield sum(some) / len(some)


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of the line of least squares, 0 for fewer than two moments."""
    middle, mean = sum(times) / max(len(times), 1), sum(values) / max(len(values), 1)
    spread = sum((at - middle) ** 2 for at in times)
    together = sum((at - middle) * (value - mean) for at, value in zip(times, values, strict=True))
    return together / spread if spread else 0.0


def _sample(service: Service) -> Sample:
    found = [memory(worker) for worker in service.workers()]
    return Sample(time.monotonic(), {kind: sum(one[kind] for one in found) for kind in KINDS})


@click.command()
@click.option("--rows", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--minutes", type=float, default=30.0, show_default=True)
@click.option("--share", type=float, default=0.7, show_default=True, help="Of what the service can do.")
@click.option(
    "--anew",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Minutes after which it is measured again what the service can do.",
)
@click.option("--engine", type=click.Choice(list(ENGINES)), default="sqlite", show_default=True)
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where the database goes.")
def main(rows: int, minutes: float, share: float, anew: float, engine: str, folder: Path | None) -> None:
    """Fill a database of its own, serve it, and keep the service busy."""
    seconds = 60 * minutes
    with (
        filled(engine, rows, folder=folder, name="endurance") as (pair, logins),
        serving(pair, logins, log=pair.folder / "log") as service,
    ):
        filling = min(FILLING_SECONDS, seconds / 4)
        capacity(service.port, logins.admin, seconds=filling, connections=FILLING_CLIENTS)
        found, watched = _keep_busy(service, share=share, seconds=seconds, anew=60 * anew)
        click.echo(f"{service.total():,} rows at last")
    _tell(found, watched)


def _keep_busy(service: Service, *, share: float, seconds: float, anew: float) -> tuple[Offered, Memory]:
    """Offer a share of what it can do for so many seconds; return what came of it, and its memory."""
    watched, found = Memory(), Offered()
    with watched.sampled(service, every=min(SAMPLE_SECONDS, seconds / 20)):
        while (left := seconds - found.seconds) > 0.5:
            calm = capacity(service.port, service.logins.admin, seconds=min(CAPACITY_SECONDS, seconds / 4))
            most = len(calm.answers) / calm.seconds
            click.echo(f"it can do {most:,.0f} requests/s; offered are {share * most:,.0f}/s; ", nl=False)
            busy = overload(service.port, service.logins.admin, rate=share * most, seconds=min(anew, left))
            took = busy.milliseconds(200, "read")
            p99 = f"p99 of reads {percentile(took, 0.99):.1f} ms" if took else "no read was answered"
            click.echo(f"{p99}, {_failed(busy):,} failed")
            found.add(busy)
    return found, watched


def _tell(found: Offered, watched: Memory) -> None:
    for line in (*found.described(), *watched.described()):
        click.echo(line)
    failed = _failed(found)
    p99 = percentile(found.milliseconds(200, "read"), 0.99)
    growth = watched.slope("RssAnon")
    for name, is_reached in (
        (f"no failure: {failed:,}", not failed),
        (f"p99 of reads at most {QUICK:g} ms: {p99:.1f}", p99 <= QUICK),
        (f"memory grows by less than {FLAT:g} MB/hour: {growth:+.2f}", growth < FLAT),
    ):
        click.echo(f"{'reached' if is_reached else 'MISSED '}  {name}")


def _failed(found: Offered) -> int:
    return sum(count for status, count in found.statuses().items() if status != 200)


if __name__ == "__main__":
    main()

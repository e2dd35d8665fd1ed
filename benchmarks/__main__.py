"""`python -m benchmarks`, or `make bench`: load, measure, print, and write down."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from logservice.errors import LogServiceError

from .comparison import comparison
from .pairs import ENGINES
from .plan import QUICK, Effort, Plan
from .report import results, show, write
from .run import run

FOLDER = Path("instance/bench")


@click.command()
@click.option("--rows", type=click.IntRange(2_000), default=500_000, show_default=True)
@click.option("--engine", type=click.Choice(list(ENGINES)), default="sqlite", show_default=True)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Databases and results go here.",
)
@click.option("--keep", is_flag=True, help="Keep the loaded databases, and use those of an earlier run.")
@click.option("--quick", is_flag=True, help="A few repetitions of everything, to see that it works.")
@click.option(
    "--compare",
    "other",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare the reads with the JSON of a run with another number of rows.",
)
def main(rows: int, engine: str, folder: Path, keep: bool, quick: bool, other: Path | None) -> None:
    """Measure the service against a gateway's own log table, on the same rows in the same run."""
    signal.signal(signal.SIGTERM, _stop)
    plan = Plan(rows, engine, folder.absolute(), keep, QUICK if quick else Effort())
    try:
        outcome = run(plan)
    except LogServiceError as error:
        raise click.ClickException(str(error)) from error
    tables = [results(outcome), *([comparison(outcome, other)] if other else [])]
    write(outcome, tables)
    show(outcome, tables)
    click.echo(f"\nWritten to {plan.result('md').name} and {plan.result('json').name} in {folder}")
    sys.exit(1 if outcome.problems else 0)


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does: what was started is stopped, what was made is removed."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()

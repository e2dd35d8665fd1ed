"""What a run found, as tables on the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from logservice.cli.output import echo_table

from .figures import Figure
from .run import Outcome

HEADINGS = ("operation", "yardstick", "ours", "p99", "ratio", "goal", "reached")
REACHED = {True: "yes", False: "no", None: ""}


@dataclass(frozen=True, slots=True)
class Table:
    """Headings, and cells below them."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> Iterator[str]:
        """Yield the lines of the table in Markdown."""
        for cells in (self.headings, ["---"] * len(self.headings), *self.rows):
            yield f"| {' | '.join(cells)} |"


def results(outcome: Outcome) -> Table:
    """Return the figures of a run."""
    return Table(HEADINGS, [_cells(figure) for figure in outcome.figures])


def show(outcome: Outcome, tables: Sequence[Table]) -> None:
    """Print everything."""
    click.echo(f"\n{_title(outcome)}\n")
    click.echo("\n".join(f"  {fact}" for fact in outcome.facts))
    for table in tables:
        click.echo()
        echo_table(table.headings, table.rows)
    click.echo()
    for note in _notes(outcome):
        click.echo(f"  {note}")
    for problem in outcome.problems:
        click.secho(problem, fg="red")


def write(outcome: Outcome, tables: Sequence[Table]) -> None:
    """Write the same as Markdown, and the figures as JSON for a later comparison."""
    lines = [f"## {_title(outcome)}", "", *(f"- {fact}" for fact in outcome.facts), ""]
    for table in tables:
        lines += [*table.markdown(), ""]
    lines += [f"- {line}" for line in (*_notes(outcome), *outcome.problems)]
    outcome.plan.result("md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = json.dumps(as_json(outcome), indent=2, ensure_ascii=False)
    outcome.plan.result("json").write_text(found + "\n", encoding="utf-8")


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return a run as it is written down."""
    figures = [
        {**asdict(figure), "goal": _goal(figure), "reached": figure.reached} for figure in outcome.figures
    ]
    return {
        "rows": outcome.plan.rows,
        "engine": outcome.plan.engine,
        "facts": outcome.facts,
        "figures": figures,
        "problems": outcome.problems,
    }


def amount(value: float | None, unit: str) -> str:
    """Return a value with its unit, three digits of it at least."""
    if value is None:
        return ""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def ratio(value: float | None) -> str:
    """Return how many times better, or worse."""
    if value is None:
        return ""
    return f"{value:,.0f}x" if value >= 10 else f"{value:.2f}x"


def _title(outcome: Outcome) -> str:
    return f"{outcome.plan.rows:,} rows on {outcome.plan.engine}"


def _notes(outcome: Outcome) -> list[str]:
    return [f"{figure.name}: {figure.note}" for figure in outcome.figures if figure.note]


def _goal(figure: Figure) -> str:
    return "" if figure.goal is None else str(figure.goal)


def _cells(figure: Figure) -> list[str]:
    return [
        figure.name,
        amount(figure.yardstick, figure.unit),
        amount(figure.ours, figure.unit),
        amount(figure.p99, figure.unit),
        ratio(figure.ratio),
        _goal(figure),
        REACHED[figure.reached],
    ]

"""Two runs with different numbers of rows: a read may hardly take longer when the log has grown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .report import REACHED, Table, amount, as_json, ratio
from .run import Outcome

#: How many times longer a read may take with ten times the rows.
MOST_GROWTH = 2.0


def comparison(outcome: Outcome, other: Path) -> Table:
    """Return how much longer the reads of the larger run took; `other` is the JSON of an earlier one."""
    runs = [as_json(outcome), json.loads(other.read_text(encoding="utf-8"))]
    small, large = sorted(runs, key=lambda run: run["rows"])
    before, after = _reads(small), _reads(large)
    headings = [
        "read",
        f"{small['rows']:,} rows on {small['engine']}",
        f"{large['rows']:,} rows on {large['engine']}",
        "longer by",
        f"at most {MOST_GROWTH:g}x",
    ]
    return Table(headings, [_cells(before[key], after[key]) for key in before if key in after])


def _reads(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {figure["key"]: figure for figure in run["figures"] if figure["compared"]}


def _cells(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    growth = after["ours"] / before["ours"]
    return [
        after["name"],
        amount(before["ours"], before["unit"]),
        amount(after["ours"], after["unit"]),
        ratio(growth),
        REACHED[growth <= MOST_GROWTH],
    ]

"""`logservice statement`: what one user used in a month, as text, CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from ..errors import InvalidValue
from ..sources.csv_rows import harmless
from ..store import accounts, intervals, statements
from ..store.statements import Figures, Statement
from ..store.store import LogStore
from ..web.state import current_state
from .group import with_store
from .output import echo_json, echo_note, echo_table, printable

#: Money is written to the millionth, which is half a quota by default.
_MILLIONTH = Decimal("0.000001")
T = TypeVar("T")
_MONEY = ("gross", "refunds", "net")


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A statement with what it says on top, and what quota is worth."""

    statement: Statement
    month: str
    tz: ZoneInfo
    quota_per_unit: Decimal

    @property
    def head(self) -> dict[str, Any]:
        """Whose it is, and the moments it reaches from and to, the second one not included."""
        found = self.statement
        return {
            "user_id": found.user.id,
            "username": found.user.username,
            "month": self.month,
            "timezone": self.tz.key,
            "start": intervals.moment(found.start, self.tz),
            "end": intervals.moment(found.end, self.tz),
            "quota_per_unit": float(self.quota_per_unit),
        }

    def rows(self) -> Iterable[dict[str, Any]]:
        """Yield each line by the names of its columns."""
        for line in self.statement.lines:
            yield {
                "model_name": line.model_name,
                "token_name": line.token_name,
                **self.figures(line.figures),
            }

    def figures(self, figures: Figures) -> dict[str, Any]:
        """Return figures, quota also in money."""
        quota = {"gross": figures.gross, "refunds": figures.refunds, "net": figures.net}
        counts = {name: value for name, value in asdict(figures).items() if name not in quota}
        as_quota = {f"{name}_quota": quota[name] for name in _MONEY}
        return counts | as_quota | {name: self._money(quota[name]) for name in _MONEY}

    def _money(self, quota: int) -> Decimal:
        return (Decimal(quota) / self.quota_per_unit).quantize(_MILLIONTH)


@click.command(short_help="Print what a user used in a month, by model and token.")
@click.option("--user", "name", required=True, metavar="NAME", help="Name or id.")
@click.option("--month", required=True, metavar="YYYY-MM", help="Such as 2026-10.")
@click.option("--timezone", default="UTC", show_default=True, metavar="ZONE", help="IANA name.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "csv", "json")),
    default="text",
    show_default=True,
    help="How to print it.",
)
@with_store
def statement(store: LogStore, name: str, month: str, timezone: str, form: str) -> None:
    """Print what a user used in a month, by model and token: gross, refunds and net.

    It is the same after rows were purged if their usage was kept.
    """
    tz = _named("--timezone", lambda: intervals.zone(timezone))
    with store.reading() as connection:
        user = accounts.find_user(connection, name)
    found = _named("--month", lambda: statements.of_month(store.usage, user, month, tz))
    if found.start > store.clock():
        echo_note(f"{month} lies ahead: nothing was used in it yet.")
    _FORMS[form](_Sheet(found, month, tz, Decimal(str(current_state().settings.quota_per_unit))))


def _named(option: str, read: Callable[[], T]) -> T:
    """Return what an option says, or say which one cannot be read."""
    try:
        return read()
    except InvalidValue as error:
        raise InvalidValue(f"{option}: {error}") from None


def _as_text(sheet: _Sheet) -> None:
    head = sheet.head
    click.echo(f"{printable(head['username'])} (id {head['user_id']}), {sheet.month}, {sheet.tz.key}")
    click.echo(f"{head['start']} up to {head['end']}\n")
    headings = ("MODEL", "TOKEN", "REQUESTS", "ERRORS", "TOKENS IN", "TOKENS OUT", "GROSS", "REFUNDS", "NET")
    total = {"model_name": "TOTAL", "token_name": "", **sheet.figures(sheet.statement.total)}  # nosec B105 # a cell
    echo_table((*headings, "NET QUOTA"), [_cells(row) for row in (*sheet.rows(), total)])


def _cells(row: Mapping[str, Any]) -> list[str]:
    texts = [row["model_name"], row["token_name"]]
    counts = [f"{row[name]:,}" for name in ("requests", "errors", "prompt_tokens", "completion_tokens")]
    return [*texts, *counts, *(f"{row[name]:,f}" for name in _MONEY), f"{row['net_quota']:,}"]


def _as_csv(sheet: _Sheet) -> None:
    """Print one row for each line, and no total: who adds up a column would count it twice."""
    columns = ["model_name", "token_name", *sheet.figures(Figures())]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in sheet.rows())
    click.echo(out.getvalue(), nl=False)


def _cell(value: Any) -> Any:
    return harmless(value) if isinstance(value, str) else value


def _as_json(sheet: _Sheet) -> None:
    lines = [_plain(row) for row in sheet.rows()]
    echo_json({**sheet.head, "lines": lines, "total": _plain(sheet.figures(sheet.statement.total))})


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with money as plain numbers."""
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()}


_FORMS: Mapping[str, Callable[[_Sheet], None]] = {"text": _as_text, "csv": _as_csv, "json": _as_json}

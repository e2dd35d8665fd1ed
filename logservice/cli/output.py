"""How commands print: tables, JSON, secrets, moments, and progress on a terminal."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_GAP = "  "


def echo_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def echo_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns as wide as their widest cell."""
    lines = [headings, *([printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell + " " * (room - width(cell)) for cell, room in zip(line, widths, strict=True))
        click.echo(_GAP.join(cells).rstrip())


def echo_secret(name: str, secret: str) -> None:
    """Print a new secret on a line of its own, so that it is easy to copy."""
    click.echo(f"The {name}, shown only now:\n\n    {secret}\n")


def echo_note(message: str) -> None:
    """Print a line on standard error, above a progress bar if one is shown."""
    erase = "\r\x1b[K" if sys.stderr.isatty() else ""
    click.echo(erase + printable(message), err=True)


def printable(text: str) -> str:
    """Return a text with control characters escaped: names come from events, and a terminal obeys."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def width(text: str) -> int:
    """Return the number of columns a text takes on a terminal: Chinese characters take two."""
    return sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def moment(second: int) -> str:
    """Return a second in ISO 8601, in UTC."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def progress(label: str, length: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how far a command is, and give the function that tells it of further steps.

    Without a length it only shows that something moves.
    """
    if not sys.stderr.isatty():
        yield lambda steps: None
    elif length is None:
        with click.progressbar(count(), label=label, file=sys.stderr) as endless:
            yield endless.update
    else:
        with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
            yield bar.update

"""How commands print: tables, JSON, secrets, moments, and progress on a terminal."""

from __future__ import annotations

import json
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

import click

from ..imports.harvest import Harvest

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_GAP = "  "
#: Cells that stand to the right: numbers, and the dash where there is none.
_NUMBER = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?(?: ?%)?|–", re.ASCII)
_MOST_REFUSALS = 20
#: Rows that a look at a source shows.
SAMPLES = 3


def echo_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(_json(value, indent=2))


def _json(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON that people can read, and that commands no terminal."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(
        character if character.isprintable() or character == "\n" else json.dumps(character)[1:-1]
        for character in text
    )


def echo_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns as wide as their widest cell, those of numbers to the right."""
    lines = [headings, *([printable(str(cell)) for cell in row] for row in rows)]
    columns = [_column(cells) for cells in zip(*lines, strict=True)]
    for line in zip(*columns, strict=True):
        click.echo(_GAP.join(line).rstrip())


def _column(cells: Sequence[str]) -> list[str]:
    """Return a heading and the cells below it, all of one width."""
    room = max(map(width, cells))
    blanks = (" " * (room - width(cell)) for cell in cells)
    is_right = len(cells) > 1 and all(map(_NUMBER.fullmatch, cells[1:]))
    pairs = zip(blanks, cells, strict=True)
    return [blank + cell if is_right else cell + blank for blank, cell in pairs]


def echo_secret(name: str, secret: str) -> None:
    """Print a new secret on a line of its own, so that it is easy to copy."""
    click.echo(f"The {name}, shown only now:\n\n    {secret}\n")


def echo_note(message: str) -> None:
    """Print a line on standard error, above a progress bar if one is shown."""
    erase = "\r\x1b[K" if sys.stderr.isatty() else ""
    click.echo(erase + printable(message), err=True)


def echo_first(messages: Sequence[str]) -> None:
    """Print the first of some lines on standard error, and how many more there are."""
    for message in messages[:_MOST_REFUSALS]:
        echo_note(message)
    _echo_rest(len(messages) - _MOST_REFUSALS)


def _echo_rest(number: int) -> None:
    if number > 0:
        echo_note(f"... and {number:,} more")


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


def echo_samples(samples: Sequence[dict[str, Any]]) -> None:
    """Print some rows as a line of JSON each."""
    for sample in samples:
        click.echo(_json(sample))


class Refusals:
    """Prints why entries of an import were refused, each by its number, and kinds of rows that have no name.

    Unless `all_of_them` are wanted, only the first are printed, and how many there were.
    """

    def __init__(self, noun: str, *, all_of_them: bool = False) -> None:
        self._noun = noun
        self._most = sys.maxsize if all_of_them else _MOST_REFUSALS
        self._count = 0
        self._kinds: Counter[int] = Counter()

    def add(self, found: Harvest) -> None:
        """Print what was refused."""
        for number, reason in found.refused.items():
            self._count += 1
            if self._count <= self._most:
                echo_note(f"{self._noun} {number}: {reason}")
        self._kinds.update(found.unknown_kinds)

    def close(self) -> None:
        """Print what was left out so far."""
        _echo_rest(self._count - self._most)
        for kind, number in sorted(self._kinds.items()):
            echo_note(f"type {kind} has no name here and was kept as it is; rows that have it: {number:,}")


@contextmanager
def progress(label: str, length: int | None = None) -> Iterator[Callable[..., None]]:
    """Show on a terminal how far a command is, and give the function that tells it of further steps.

    That takes the number of steps, and the number of rows among them if a rate is to be shown. Without a
    length it only shows that something moves.
    """
    if not sys.stderr.isatty() or length == 0:
        yield lambda steps, rows=0: None
        return
    began, total = time.monotonic(), 0
    endless = {"iterable": count()} if length is None else {"length": length}

    def advance(steps: int, rows: int = 0) -> None:
        nonlocal total
        total += rows
        rate = total / max(time.monotonic() - began, 0.001)
        bar.update(steps, f"{rate:,.0f} rows/s" if total else None)

    options: dict[str, Any] = {"label": label, "file": sys.stderr, "item_show_func": _or_nothing}
    with click.progressbar(**endless, **options) as bar:
        yield advance


def _or_nothing(shown: str | None) -> str:
    """Return what stands behind a progress bar."""
    return shown or ""

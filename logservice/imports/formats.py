"""The files that can be imported: events or rows, each on a line as JSON, or below a header as CSV."""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from ..counts import counted
from ..errors import InvalidValue
from ..sources import csv_rows, gateways
from ..sources.gateways import Flavour
from ..store import records
from ..store.records import Record
from .lines import LONGEST_LINE, HashedLines

FORMATS = ("ndjson", "csv")
#: How many lines tell what a file is.
_MOST = 20
#: What stands for bytes that are no UTF-8.
_UNDECODED = re.compile("[\udc80-\udcff]")
#: Reads one entry at a time in epoch seconds, or raises InvalidValue.
Read = Callable[[float], Record]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a file: the number of its last line, and how to read it; None where it holds nothing."""

    line: int
    read: Read | None


@dataclass(frozen=True, slots=True)
class Format:
    """What a file is made of: `name` is one of FORMATS, `flavour` the gateway whose rows they are, if any."""

    name: str
    flavour: Flavour | None
    columns: tuple[str, ...] = ()

    def entries(self, lines: HashedLines) -> Iterator[Entry]:
        """Yield all entries."""
        return self._of_csv(lines) if self.name == "csv" else self._of_json(lines)

    def _of_json(self, lines: HashedLines) -> Iterator[Entry]:
        read = _event if self.flavour is None else partial(_row, flavour=self.flavour)
        for line in lines:
            yield Entry(lines.number, partial(read, line) if line.strip() else None)

    def _of_csv(self, lines: HashedLines) -> Iterator[Entry]:
        rows = csv.reader(line.decode(errors="surrogateescape") for line in lines)
        while True:
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Entry(lines.number, partial(_unreadable, str(error)))
                continue
            is_header = tuple(cells) == self.columns
            yield Entry(lines.number, partial(self._from_cells, cells) if cells and not is_header else None)

    def _from_cells(self, cells: list[str], now: float) -> Record:
        if len(cells) != len(self.columns):
            raise InvalidValue(f"{counted(len(cells), 'cell')} below {counted(len(self.columns), 'column')}")
        if any(_UNDECODED.search(cell) for cell in cells):
            raise InvalidValue("the line is not in UTF-8")
        fields = dict(zip(self.columns, cells, strict=True))
        if self.flavour is not None:
            # No export of ours: an apostrophe there was written by whoever wrote the text.
            return gateways.from_fields(fields, self.flavour, now=now)
        return records.from_mapping(csv_rows.fields(fields), now=now, keep_id=True)


def recognise(
    first: bytes, *, name: str | None = None, flavour: Flavour | None = None, is_ours: bool = False
) -> Format:
    """Return the format of a file by its first line, and by what is known already.

    Raises InvalidValue for a header that cannot be read, or has columns nobody knows.
    """
    if name != "ndjson" and (between := _other_separator(first)):
        raise InvalidValue(f"{between} stand between the columns; save the file as CSV with commas")
    name = name or ("csv" if "created_at" in _columns_if_any(first) else "ndjson")
    names = _columns(first) if name == "csv" else _names(first)
    if flavour is None and not is_ours:
        flavour = gateways.recognise_fields(names)
    if name == "csv" and flavour is None and (unknown := [one for one in names if one not in records.FIELDS]):
        raise InvalidValue(f"column {unknown[0][:40]!r}: neither one of ours nor of a gateway's log table")
    return Format(name, flavour, tuple(names) if name == "csv" else ())


def may_hold_events(beginning: bytes) -> bool:
    """Whether the beginning of a file looks like events, readable or not, or has nothing in it at all."""
    lines = [line.strip() for line in beginning.removeprefix(BOM_UTF8).splitlines() if line.strip()][:_MOST]
    if not lines or any(line.startswith(b"{") for line in lines):
        return True
    columns = [name.strip() for name in _columns_if_any(lines[0])]
    if _other_separator(lines[0]):
        # It will be refused by what is wrong with it.
        return True
    return "created_at" in columns or gateways.recognise_fields(columns) is not None


def _other_separator(header: bytes) -> str | None:
    """Return what stands between the columns of a header where that is no comma, as spreadsheets may do."""
    for separator, noun in ((";", "semicolons"), ("\t", "tabs")):
        columns = _columns_if_any(header, separator)
        if len(columns) > 1 and "created_at" in columns:
            return noun
    return None


def _columns_if_any(line: bytes, separator: str = ",") -> list[str]:
    try:
        return _columns(line, separator)
    except InvalidValue:
        return []


def _columns(header: bytes, separator: str = ",") -> list[str]:
    # Python's own limit is shorter than what a cell of ours may hold.
    csv.field_size_limit(LONGEST_LINE)
    try:
        return next(csv.reader([header.decode(errors="replace")], delimiter=separator), [])
    except csv.Error as error:
        raise InvalidValue(f"the header cannot be read as CSV ({error})") from None


def _names(line: bytes) -> list[str]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return []
    return list(found) if isinstance(found, dict) else []


def _event(line: bytes, now: float) -> Record:
    _refuse_long(line)
    return records.from_json(line, now=now, keep_id=True)


def _row(line: bytes, now: float, *, flavour: Flavour) -> Record:
    _refuse_long(line)
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidValue(f"not valid JSON ({error})") from None
    if not isinstance(found, Mapping):
        raise InvalidValue("the row is no object")
    return gateways.from_fields(found, flavour, now=now)


def _refuse_long(line: bytes) -> None:
    if len(line) > LONGEST_LINE:
        raise InvalidValue(f"the line is longer than {LONGEST_LINE} bytes")


def _unreadable(reason: str, _now: float) -> Any:
    raise InvalidValue(f"not valid CSV ({reason})")

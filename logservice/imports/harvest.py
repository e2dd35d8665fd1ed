"""What some entries of a source bring: clean records, why others were refused, and kinds without a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..errors import InvalidValue
from ..sources import gateways
from ..store.records import Record


@dataclass(slots=True)
class Harvest:
    """Clean records, reasons of refusals by the number of the entry, and counts of types without a name."""

    records: list[Record] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    unknown_kinds: Counter[int] = field(default_factory=Counter)


def gathered(entries: Iterable[tuple[int, Callable[[], Record]]]) -> Harvest:
    """Read entries, each with its number; one that cannot be stored costs the others nothing."""
    found = Harvest()
    for number, read in entries:
        try:
            record = read()
        except InvalidValue as error:
            found.refused[number] = str(error)
            continue
        if not gateways.is_known(record.row["type"]):
            found.unknown_kinds[record.row["type"]] += 1
        found.records.append(record)
    return found

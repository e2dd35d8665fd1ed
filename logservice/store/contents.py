"""What rows say, kept once for all rows of an hour that say the same.

Most rows of a gateway repeat one of few texts, so this keeps the log small, and so does the search index,
which knows each text once an hour. A text that only one row has said goes by the id of that row; from the
second row on they share one that goes by the id of the first to share it. Nothing is ever changed in place,
so writers do not wait for each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, bindparam, delete, func, literal_column, select

from . import ids
from .dialects import Dialect
from .filters import OneOf, chunks
from .ids import IdRange, down, up
from .prepared import Reader, prepared
from .tables import contents, records

_HOUR_IDS = ids.first_id(ids.HOUR)

#: The content of a row of `log_records`, by the text it refers to.
content_of_row: ColumnElement[str] = func.coalesce(
    select(contents.c.content)
    .where(contents.c.id == records.c.content_id)
    .correlate(records)
    .scalar_subquery(),
    literal_column("''"),
)
#: What a keyword is looked for in.
folded_text: ColumnElement[str] = func.coalesce(contents.c.folded, contents.c.content)


@dataclass(slots=True)
class _Known:
    """What an hour holds of one text already."""

    shared: int | None = None
    said_once: bool = False


_UNKNOWN = _Known()


def assign(connection: Connection, dialect: Dialect, rows: Sequence[dict[str, Any]]) -> None:
    """Give each row, ids assigned, its `content_id`, and store the texts that are new."""
    speakers = _by_text(rows)
    known = _known(connection, speakers)
    new: list[tuple[Any, ...]] = []
    for (hour, text), saying in speakers.items():
        held = known.get((hour, text), _UNKNOWN)
        content_id = held.shared
        if content_id is None:
            content_id = saying[0]["id"]
            shared = len(saying) > 1 or held.said_once
            new.append((content_id, hour * ids.HOUR, digest(text), shared, text, _folded(text)))
        for row in saying:
            row["content_id"] = content_id
    if new:
        new.sort()
        dialect.insert(connection, contents, new)
        dialect.index_contents(connection, [(row[0], row[-1] or row[-2]) for row in new])


def _folded(text: str) -> str | None:
    folded = text.casefold()
    return None if folded == text else folded


def digest(text: str) -> int:
    """Return a hash of a text that is a signed 64-bit number, the same in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _by_text(rows: Sequence[dict[str, Any]]) -> dict[tuple[int, str], list[dict[str, Any]]]:
    """Return the rows that say something, by their hour and what they say."""
    found: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        text = row["content"]
        if text:
            found[row["id"] // _HOUR_IDS, text].append(row)
        else:
            row["content_id"] = 0
    return found


def _known(connection: Connection, texts: Iterable[tuple[int, str]]) -> dict[tuple[int, str], _Known]:
    """Look up, hour by hour, which texts are there already."""
    known: dict[tuple[int, str], _Known] = defaultdict(_Known)
    by_hour: dict[int, list[int]] = defaultdict(list)
    for hour, text in texts:
        by_hour[hour].append(digest(text))
    for hour, digests in sorted(by_hour.items()):
        for some in chunks(digests):
            for content_id, shared, text in _find(connection, hour, some):
                if shared:
                    known[hour, text].shared = content_id
                else:
                    known[hour, text].said_once = True
    return known


def _find(connection: Connection, hour: int, digests: list[int]) -> list[Any]:
    form = OneOf.fitting(digests)
    hour_ids = {"low": hour * _HOUR_IDS, "high": (hour + 1) * _HOUR_IDS}
    values = {**form.values("digest", digests), "hour": hour * ids.HOUR, **hour_ids}
    return _with_digests(connection, values, form)


@prepared
def _with_digests(form: OneOf) -> Executable:
    found = select(contents.c.id, contents.c.shared, contents.c.content)
    # The ids follow from the hour; said as well, they lead to the one partition that has it.
    inside = [contents.c.id >= bindparam("low"), contents.c.id < bindparam("high")]
    return found.where(contents.c.hour == bindparam("hour"), form(contents.c.digest, "digest"), *inside)


def texts(connection: Reader, content_ids: Iterable[int]) -> dict[int, str]:
    """Return what some contents say, by id."""
    found: dict[int, str] = {}
    for some in chunks(content_ids):
        form = OneOf.fitting(some)
        found.update(_with_ids(connection, form.values("id", some), form))
    return found


@prepared
def _with_ids(form: OneOf) -> Executable:
    return select(contents.c.id, contents.c.content).where(form(contents.c.id, "id"))


def forget_range(connection: Connection, dialect: Dialect, span: IdRange) -> None:
    """Delete all texts of whole hours whose rows are being deleted."""
    inside = [contents.c.id >= span.low, contents.c.id < span.high]
    _forget(connection, dialect, inside)


def forget_unsaid(connection: Connection, dialect: Dialect, span: IdRange, gone: Iterable[int]) -> None:
    """Delete those of some texts that no row says any more; `gone` are the `content_id` of deleted rows.

    All of these rows lay in `span`, whose hours are searched for others that say the same.
    """
    low, high = down(span.low, _HOUR_IDS), up(span.high, _HOUR_IDS)
    left = select(records.c.content_id).where(records.c.id >= low, records.c.id < high).distinct()
    for some in chunks({*gone} - {0, *connection.scalars(left)}):
        _forget(connection, dialect, [contents.c.id.in_(some)])


def _forget(connection: Connection, dialect: Dialect, where: list[ColumnElement[bool]]) -> None:
    found = connection.execute(select(contents.c.id, folded_text).where(*where)).all()
    dialect.unindex_contents(connection, [(row[0], row[1]) for row in found])
    connection.execute(delete(contents).where(*where))

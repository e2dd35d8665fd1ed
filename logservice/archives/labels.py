"""What the files of an archive say of themselves: what kind they are, and the id they are known by."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import orjson

from ..imports.parquet import ParquetFile
from ..store.pages import FIELDS
from ..store.retained import Trace, pack, unpack

_NAME, _ROWS = "logservice", "logservice.rows"
#: The fields of a row in an archive: all there are, and none twice.
ROW_FIELDS = tuple(str(name) for name in FIELDS if name not in ("channel", "use_time"))


@dataclass(frozen=True, slots=True)
class Label:
    """The kind of a file, ROWS or USAGE, and its id, unlike that of any other."""

    kind: str
    id: str

    @classmethod
    def new(cls, kind: str) -> Label:
        """Return the label of a new file."""
        return cls(kind, secrets.token_hex(16))

    @classmethod
    def of(cls, file: ParquetFile) -> Label | None:
        """Return the label of a file, or None for one that has none."""
        try:
            return cls(**orjson.loads(file.about[_NAME]))
        except (KeyError, TypeError, orjson.JSONDecodeError):
            return None

    def as_metadata(self) -> dict[str, str]:
        """Return this as a file says it."""
        return {_NAME: orjson.dumps(asdict(self)).decode()}


def rows_as_metadata(rows: Iterable[tuple[int, Trace]]) -> dict[str, str]:
    """Return how a file of usage says which rows it stems from, of which their types and traces are given."""
    by_type: dict[int, list[Trace]] = defaultdict(list)
    for log_type, trace in rows:
        by_type[log_type].append(trace)
    packed = {str(log_type): b64encode(pack(found)).decode() for log_type, found in by_type.items()}
    return {_ROWS: orjson.dumps(packed).decode()}


def rows_of(file: ParquetFile) -> list[tuple[int, Trace]]:
    """Return the rows that the usage of a file stems from, in order of their ids."""
    packed = orjson.loads(file.about.get(_ROWS, "{}"))
    found = [(int(name), trace) for name, text in packed.items() for trace in unpack(b64decode(text))]
    return sorted(found, key=lambda one: one[1])

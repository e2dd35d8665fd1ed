"""What the files of an archive say of themselves: what kind they are, and the id they are known by."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass

import orjson

from ..imports.parquet import ParquetFile
from ..store.pages import FIELDS

_NAME = "logservice"
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

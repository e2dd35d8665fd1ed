"""The folder of an archive: `rows/2026-05-01.parquet`, and beside it `usage/` for usage without rows.

What came later for a day lies in `2026-05-01.2.parquet` and so on. `archive.json` says of which log it is. A
file that is not whole yet has a name that begins with a dot and ends with `.part`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import BinaryIO

import orjson

from ..errors import Conflict, InvalidValue
from ..exports.files import whole_file

ROWS, USAGE = "rows", "usage"
_NOTE = "archive.json"


class Folder:
    """The folder of one archive. Raises OSError where it cannot be made or written to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make what is missing of it; only its owner may look inside, as is so of a database.

        Raises InvalidValue where it would lie in a folder that is not there: its name may be mistyped, or a
        disk is missing.
        """
        above = self.path.absolute().parent
        if not above.is_dir():
            raise InvalidValue(f"{self.path}: there is no folder {above}")
        for folder in (self.path, self.path / ROWS, self.path / USAGE):
            folder.mkdir(mode=0o700, exist_ok=True)

    def take_for(self, log_id: str) -> None:
        """Note whose archive this is. Raises Conflict where it is that of another log."""
        note = self.path / _NOTE
        if note.exists():
            if note.read_bytes() != orjson.dumps({"log": log_id}):
                raise Conflict(
                    f"{self.path}: has the archive of another log; each log needs a folder of its own"
                )
            return
        with whole_file(note) as file:
            file.write(orjson.dumps({"log": log_id}))

    def files(self, kind: str) -> list[Path]:
        """Return the whole files of a kind, in the order of their days."""
        return sorted((self.path / kind).glob("[!.]*.parquet"))

    def names(self, kind: str, second: int) -> list[str]:
        """Return the names, within the folder, of the whole files of a kind and of the day of a second."""
        day = date_of(second)
        return [f"{kind}/{path.name}" for path in self.files(kind) if path.name.startswith(f"{day}.")]

    def new_name(self, kind: str, second: int) -> str:
        """Return a name, within the folder, that no file of the day of a second has."""
        day = date_of(second)
        for number in count(1):
            name = f"{kind}/{day}.parquet" if number == 1 else f"{kind}/{day}.{number}.parquet"
            if not os.path.lexists(self.path / name):
                break
        return name

    def part(self, name: str) -> Path:
        """Return where a file lies until it is whole."""
        path = self.path / name
        return path.with_name(f".{path.name}.part")

    def parts(self) -> list[Path]:
        """Return the files that are not whole, or were not named yet."""
        return [part for kind in (ROWS, USAGE) for part in (self.path / kind).glob(".*.part")]

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Give a file to write that is on disk when the block ends well, and gone when it does not."""
        part = self.part(name)
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(number, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def name_part(self, name: str) -> None:
        """Give a file its name, for good, once it counts."""
        part = self.part(name)
        os.replace(part, self.path / name)
        folder = os.open(part.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def date_of(second: int) -> str:
    """Return the day (UTC) of a second, such as 2026-05-01."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d")

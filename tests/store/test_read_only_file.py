"""A SQLite file where nothing may be written: it is read as it is, or told why that cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from logservice.errors import Unavailable
from logservice.store.store import LogStore
from tests.store.conftest import OpenStore
from tests.store_rows import NOW, contents, raw_rows, record

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")


@pytest.fixture(autouse=True)
def engine(engine_name: str) -> str:
    """Have all tests of this file run on one engine only."""
    return engine_name


@pytest.fixture
def path(open_store: OpenStore, tmp_path: Path) -> Path:
    """The file of a log with a row, which nobody has open."""
    store = open_store()
    record(store, {"created_at": NOW, "content": "first"})
    store.close()
    return tmp_path / "logservice.db"


@pytest.fixture
def read_only(path: Path) -> Iterator[pytest.MonkeyPatch]:
    """Have the file system say that nothing may be written; `undo` has it say so no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=os.ST_RDONLY))
        yield patch


def there(path: Path) -> set[str]:
    return {found.name for found in path.parent.iterdir()}


def read(store: LogStore) -> list[str]:
    return contents(raw_rows(store))


@pytest.mark.usefixtures("read_only")
def test_a_log_on_a_read_only_file_system_is_read_without_a_file_beside_it(
    path: Path, open_store: OpenStore
) -> None:
    before = there(path)
    store = open_store()
    assert read(store) == ["first"]
    assert there(path) == before


def test_once_it_may_be_written_again_its_readers_see_what_is_new(
    path: Path, open_store: OpenStore, read_only: pytest.MonkeyPatch
) -> None:
    reader = open_store()
    assert read(reader) == ["first"]
    read_only.undo()
    record(open_store(), {"created_at": NOW, "content": "second"})
    assert read(reader) == ["first", "second"]


@pytest.mark.usefixtures("read_only")
def test_what_lies_in_the_write_ahead_log_alone_is_not_passed_over(path: Path, open_store: OpenStore) -> None:
    path.with_name("logservice.db-wal").write_bytes(b"rows")
    with pytest.raises(Unavailable, match=f"{path} lies on a read-only file system, .* logservice.db-wal, "):
        read(open_store())


def test_rows_of_somebody_who_writes_elsewhere_are_read(path: Path, open_store: OpenStore) -> None:
    """As in a container into which a folder is mounted for reading only."""
    record(open_store(), {"created_at": NOW, "content": "second"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=os.ST_RDONLY))
        assert read(open_store()) == ["first", "second"]

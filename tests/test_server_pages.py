"""Pages of SQLite's have a place of their own, made before a connection is there, with room for all."""

from __future__ import annotations

import _sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest

from logservice.server_pages import room
from tests.serving import serving

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(_sqlite3, "__file__"),
    reason="only Linux is known to call SQLite so, and only where it is not within Python itself",
)

_PRELUDE = """
    import _sqlite3, ctypes, logging, os, sqlite3, sys, threading
    from contextlib import ExitStack
    from logservice.app import create_app
    from logservice.server_pages import reserve, room
    from tests.page_memory import most_elsewhere, most_in_room

    PATH = sys.argv[1]

    def filled(pages):
        connection = sqlite3.connect(PATH)
        connection.execute("CREATE TABLE some (one TEXT)")
        connection.executemany("INSERT INTO some VALUES (?)", (("x" * 3000,) for _ in range(pages)))
        connection.commit()
        return connection

    def read(connection):
        return connection.execute("SELECT count(*), sum(length(one)) FROM some").fetchone()
"""


def _run(folder: Path, script: str) -> list[str]:
    """Run a script in a process of its own, for SQLite stays as it was begun; return what it printed."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        dedent(_PRELUDE) + dedent(script),
        str(folder / "some.db"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_pages_are_kept_where_there_is_room_for_them(tmp_path: Path) -> None:
    # The connection is still open when the process ends, in which it may outlive all else.
    script = "connection = filled(300); print(*read(connection), most_in_room() > 300, most_elsewhere())"
    assert _run(tmp_path, f"print(reserve(1)); {script}") == ["True", "300", "900000", "True", "0"]
    (tmp_path / "some.db").unlink()
    *found, elsewhere = _run(tmp_path, script)
    assert found == ["300", "900000", "False"]
    assert int(elsewhere) > 200 * 4096


def test_there_is_room_for_all_that_connections_of_a_worker_may_hold(tmp_path: Path) -> None:
    found = _run(
        tmp_path,
        """
        logging.disable()
        assert reserve(16)
        settings = {"LOGSERVICE_DATABASE_URL": f"sqlite:///{PATH}"}
        store = create_app(settings, instance_path=os.path.dirname(PATH)).extensions["logservice"].store

        def fill(to):
            to.exec_driver_sql("CREATE TABLE some (one TEXT)")
            for _ in range(3000):
                to.exec_driver_sql("INSERT INTO some VALUES (hex(zeroblob(1500)))")

        store.write(fill)
        with ExitStack() as stack:
            for much in [False] * 16 + [True] * 8:
                connection = stack.enter_context(store.reading(much=much))
                # Pages that are mapped into memory take no room.
                for statement in ("COMMIT", "PRAGMA mmap_size=0", "BEGIN"):
                    connection.exec_driver_sql(statement)
                [(length,)] = connection.exec_driver_sql("SELECT sum(length(one)) FROM some")
                assert length == 9_000_000
        print(most_in_room(), most_elsewhere())
        store.close()
        """,
    )
    pages, elsewhere = map(int, found)
    # SQLite keeps the last ten for itself; were they all that is left, who holds none could not hold any.
    assert 2000 < pages < room(16) - 10
    assert elsewhere == 0


def test_sqlite_is_not_begun_anew_beside_an_open_connection(tmp_path: Path) -> None:
    found = _run(
        tmp_path,
        """
        connection = filled(10)
        print(reserve(1), *read(connection))
        connection.close()
        print(reserve(1))
        """,
    )
    assert found == ["False", "10", "30000", "True"]


@pytest.mark.parametrize(
    "obstacle",
    [
        "sys.platform = 'darwin'",
        "_sqlite3.__file__ = 'libc.so.6'",
        "del _sqlite3.__file__",
        "_sqlite3.__file__ = '/nowhere'",
        "threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "sqlite = ctypes.CDLL(_sqlite3.__file__); sqlite.sqlite3_shutdown(); sqlite.sqlite3_config(9, 0)",
    ],
    ids=["no Linux", "no functions", "within Python", "no library", "other threads", "no account of memory"],
)
def test_sqlite_is_left_as_it_is_where_it_cannot_be_begun_anew(tmp_path: Path, obstacle: str) -> None:
    found = _run(tmp_path, f"{obstacle}\nprint(reserve(1), *read(filled(10)), most_in_room())")
    assert found == ["False", "10", "30000", "0"]


def test_what_is_sorted_stays_in_memory_as_before(tmp_path: Path) -> None:
    found = _run(
        tmp_path,
        """
        def written():
            return next(int(line.split()[1]) for line in open("/proc/self/io") if line.startswith("wchar"))

        query = "SELECT one FROM some ORDER BY one || rowid"
        print(reserve(1))
        filled(1000).close()
        connection = sqlite3.connect(PATH)
        connection.execute("PRAGMA cache_size=-256")
        before = written()
        print(len(connection.execute(query).fetchall()), written() - before)
        """,
    )
    assert found == ["True", "1000", "0"]


def test_workers_keep_pages_apart_however_many_read(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1, app="tests.telling:create_app()") as service:
        at_first = service.get("/pages")
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(lambda _: service.get("/api/log/"), range(200)))
        at_last = service.get("/pages")
    assert at_first["in_room"] < at_last["in_room"] < room(16)
    assert at_last["elsewhere"] == at_first["elsewhere"]

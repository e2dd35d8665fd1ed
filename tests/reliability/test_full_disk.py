"""A disk that is full: posts and commands say so, reads go on, and all goes on once there is room."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.processes import children
from tests.commands import assert_done, assert_error, invoke
from tests.postgresql_server import Server, private, required
from tests.private_servers import account
from tests.reliability.calls import LARGE, assert_reading, assert_refused, assert_sound, call, post, text
from tests.reliability.disks import Disk, Limited, emptied, mounted
from tests.serving import Service, serving

#: Of the disk, and what files may grow to where there is none. More than that is stored before.
DISK, LIMIT = 24 * 2**20, 2**17


@contextmanager
def sqlite_on(folder: Path) -> Iterator[tuple[Service, Disk, str]]:
    """Serve a file on a disk of its own."""
    place, url = folder / "disk", f"sqlite:///{folder / 'disk' / 'log.db'}"
    place.mkdir()
    with mounted(place, size=DISK) as small, serving(place, url=url) as service:
        disk = small or Limited(place, lambda: [os.getpid(), *children(service.process.pid)], LIMIT)
        with emptied(disk):
            yield service, disk, url


OLD = {f"old-{number}" for number in range(60)}


def old_event(name: str) -> dict[str, object]:
    """Return an event of the day before yesterday."""
    return {"request_id": name, "created_at": int(time.time()) - 2 * 86400, "content": text(LARGE)}


def test_a_full_disk_is_told_to_clients_and_commands_and_got_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGSERVICE_RETENTION", "consume=1d")
    with sqlite_on(tmp_path) as (service, disk, url):
        assert call(service, "POST", "/api/log/", [old_event(name) for name in OLD]).status == 200
        disk.fill()
        for size in (0, LARGE):
            names = (f"refused-{number}" for number in range(40))
            assert_refused(post(service, *names, size=size), disk.said)
        assert_reading(service)
        assert disk.said in service.printed()
        assert_commands_fail(disk, tmp_path)
        disk.make_room()
        assert post(service, "after").status == 200
        assert_reading(service)
        assert_sound(url, OLD | {"after"})
        assert_done(invoke(disk.folder, "export", "-o", str(disk.folder / "exported.csv")))
        assert_done(invoke(disk.folder, "maintain"))
        # What maintenance did is a row without a request id.
        assert_sound(url, {"after", ""})


def assert_commands_fail(disk: Disk, folder: Path) -> None:
    """Check that each command that writes says so in one line, and leaves no file under its final name."""
    source = folder / "source.ndjson"
    source.write_text('{"request_id": "imported"}\n' * 500)
    before = sorted(path.name for path in disk.folder.iterdir())
    for command in ("maintain", "purge --before 1d", "rebuild", f"import {source}", "user add carol"):
        assert_error(invoke(disk.folder, *command.split()), disk.said)
    for ending in ("ndjson", "csv", "parquet"):
        file = disk.folder / f"exported.{ending}"
        assert_error(invoke(disk.folder, "export", "-o", str(file)), f"{file}: ")
    assert_error(invoke(disk.folder, "archive", str(disk.folder / "archive"), "--older-than", "1d"), "")
    assert_done(invoke(disk.folder, "check", "--full"))
    assert sorted(path.name for path in disk.folder.iterdir() if path.name != "archive") == before
    assert not list(disk.folder.glob("archive/*.parquet"))


@contextmanager
def postgresql_on(folder: Path) -> Iterator[tuple[Server, Disk]]:
    """Run a server that keeps a database `log` on a disk of its own."""
    # Not below pytest's own folder, which the server's account may not enter.
    place = Path("/dev/shm") / f"logservice-full-{os.getpid()}"
    place.mkdir(mode=0o755)
    owner = account().get("user", os.getuid())
    try:
        with mounted(place, size=DISK, owner=owner) as small, required(private()) as server:
            if small is not None:
                with server.connected() as connection:
                    connection.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
                    connection.execute("CREATE DATABASE log TABLESPACE small TEMPLATE template0")
            else:
                server.create_database("log")
            disk = small or Limited(place, lambda: _sessions(server), 17 * 2**20, account())
            with emptied(disk):
                yield server, disk
    finally:
        place.rmdir()


def _sessions(server: Server) -> list[int]:
    assert server.postmaster is not None
    assert server.postmaster.process_id is not None
    with server.connected() as connection:
        named = "SELECT pid FROM pg_stat_activity WHERE datname = 'log'"
        return [server.postmaster.process_id, *(number for (number,) in connection.execute(named))]


def test_a_full_disk_of_the_database_server_is_told_and_got_over(tmp_path: Path) -> None:
    with postgresql_on(tmp_path) as (server, disk):
        url = server.url("log")
        with serving(tmp_path, url=url) as service:
            assert post(service, "before").status == 200
            disk.fill()
            stored, answer = {"before"}, None
            for turn in range(60):
                names = [f"{turn}-{number}" for number in range(100)]
                answer = post(service, *names, size=LARGE)
                if answer.status != 200:
                    break
                stored |= set(names)
            assert answer is not None
            assert_refused(answer, "could not extend file")
            assert "could not extend file" in service.printed()
            assert_reading(service)
            disk.make_room()
            assert post(service, "after").status == 200
        assert_sound(url, stored | {"after"})

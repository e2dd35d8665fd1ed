"""Addresses that `logservice serve` binds: the command to paste fits, and what cannot be is told early."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from logservice.cli import addresses
from tests.commands import Run, assert_error


@pytest.mark.parametrize(
    ("bind", "where"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        (":9000", "http://127.0.0.1:9000"),
        ("[::]:9000", "http://[::1]:9000"),
        ("[::1]:9000", "http://[::1]:9000"),
        ("log.example.org:8000", "http://log.example.org:8000"),
        ("tcp://10.0.0.1:9000", "http://10.0.0.1:9000"),
    ],
)
def test_the_command_to_paste_fits_the_address(bind: str, where: str) -> None:
    assert addresses.curl_for(bind).where == where


def test_the_command_to_paste_fits_a_socket() -> None:
    curl = addresses.curl_for("unix:/run/log.sock")
    assert curl("/healthz") == "curl --unix-socket /run/log.sock http://localhost/healthz"


@pytest.mark.parametrize(
    "bind", ["127.0.0.1:port", "127.0.0.1:0", "127.0.0.1:70000", "::1:80", "a/b", "[::1", "8123", "localhost"]
)
def test_an_address_that_cannot_be_bound_is_refused_before_anything_is_done(
    run: Run, tmp_path: Path, execution: list[Any], bind: str
) -> None:
    assert_error(run("serve", "--bind", bind), "is neither HOST:PORT nor unix:PATH")
    assert not (tmp_path / "log.db").exists()
    assert not execution


def test_an_address_of_the_environment_is_refused_by_its_own_name(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGSERVICE_BIND", "8123")
    assert_error(
        run("serve"), "LOGSERVICE_BIND: '8123' is neither HOST:PORT nor unix:PATH, such as 127.0.0.1:"
    )
    monkeypatch.delenv("LOGSERVICE_BIND")
    monkeypatch.setenv("LOGSERVICE_WORKERS", "two")
    assert_error(run("serve"), "(env var: 'LOGSERVICE_WORKERS')")


@pytest.mark.parametrize("command", ["serve", "demo --rows 1 --serve"])
def test_what_keeps_the_server_from_starting_is_told_before_a_token_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it starts all the same"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = f"127.0.0.1:{server.getsockname()[1]}"
        assert_error(
            run(*command.split(), "--bind", taken), f"{taken} is taken: another program listens there"
        )
    assert_error(run(*command.split(), "--bind", "unix:/nowhere/x.sock"), "there is no folder /nowhere")
    assert_error(run(*command.split(), "--bind", "192.0.2.1:8000"), "192.0.2.1:8000: ")
    monkeypatch.setenv("LOGSERVICE_LOG_LEVEL", "verbose")
    assert_error(
        run(*command.split(), "--bind", taken), "LOGSERVICE_LOG_LEVEL: 'verbose' is none of debug, info"
    )
    assert not list(tmp_path.glob("*.db"))


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder whose name is short enough for the addresses of sockets in it."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def listening(path: Path, kind: int = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, kind)) as server:
        server.bind(str(path))
        if kind == socket.SOCK_STREAM:
            server.listen(0)
        yield server


@pytest.mark.parametrize("scheme", ["unix:", "unix://"])
def test_a_path_where_no_socket_can_be_is_told_before_a_token_is(
    run: Run, tmp_path: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it starts all the same"))
    file, folder, long = sockets / "file", sockets / "folder", sockets / ("x" * 108)
    file.touch()
    folder.mkdir()

    for path, reason in [
        (file, "what is there already is no socket"),
        (folder, "what is there already is no socket"),
        (file / "x.sock", f"there is no folder {file}"),
        (long, "AF_UNIX path too long"),
        # Nobody makes anything there, root neither.
        (Path("/proc/x.sock"), ""),
    ]:
        assert_error(run("serve", "--bind", f"{scheme}{path}"), f"--bind: {scheme}{path}: {reason}")

    assert file.is_file()
    assert not list(tmp_path.glob("*.db"))


def test_a_socket_of_a_running_program_is_taken(
    run: Run, tmp_path: Path, sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it starts all the same"))
    path = sockets / "x.sock"
    taken = f"unix:{path} is taken: another program listens there"

    with listening(path) as server:
        # The first call fills its queue.
        for _ in range(2):
            assert_error(run("serve", "--bind", f"unix:{path}"), taken)
        server.accept()[0].close()
    path.unlink()
    with listening(path, socket.SOCK_DGRAM):
        assert_error(run("serve", "--bind", f"unix:{path}"), taken)

    assert not list(tmp_path.glob("*.db"))


def test_a_path_from_the_working_folder_may_be_short_where_the_whole_one_is_too_long(
    sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sockets / ("x" * 108)
    folder.mkdir()
    monkeypatch.chdir(folder)

    addresses.refuse_taken("unix:x.sock")

    assert not list(folder.iterdir())


def test_a_socket_that_nobody_listens_at_any_more_is_free(sockets: Path) -> None:
    path = sockets / "x.sock"
    with listening(path):
        pass
    assert path.is_socket()

    for _ in range(2):
        addresses.refuse_taken(f"unix:{path}")

    with listening(path):
        pass


def test_a_port_that_systemd_opened_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        addresses.refuse_taken(f"127.0.0.1:{server.getsockname()[1]}")

"""What gunicorn writes: a line for each request, as text or JSON, and never a query, a key or a token."""

from __future__ import annotations

import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from logservice.masking import mask, mask_line, mask_path, one_entry
from logservice.server_log import JSON_FORMAT, TEXT_FORMAT, RequestLogger
from logservice.server_threads import waited_to_begin
from tests.serving import Service, serving

KEY = "sk-somebody-s-own-key-0001"
TOKEN = "3wBmCbNLhkum7C-SiFdAC1I7X4LWpld1KYvn1Z2yDt8"
CLIENT = "203.0.113.7"


@pytest.fixture(scope="module", params=["text", "json", "off"])
def kind(request: pytest.FixtureRequest) -> str:
    """How the access log is written."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def service(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environ = {"LOGSERVICE_ACCESS_LOG": kind, "LOGSERVICE_TRUSTED_PROXIES": "127.0.0.1"}
    with serving(tmp_path_factory.mktemp("log"), workers=1, environ=environ) as found:
        yield found


def call(service: Service, path: str, **headers: str) -> None:
    connection = service.open()
    try:
        connection.request("GET", path, headers=headers)
        connection.getresponse().read()
    finally:
        connection.close()


def call_raw(service: Service, request: str) -> bytes:
    """Send what no client would, and return all that is answered."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(request.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))


def entries(service: Service, request_id: str) -> list[dict[str, Any]]:
    """Return what the access log says of a request, whichever way; that is written after the answer."""
    found: list[str] = []
    deadline = time.monotonic() + 10
    while not found and time.monotonic() < deadline:
        found = [line for line in service.printed().splitlines() if request_id in line]
    return [json.loads(line) if line.startswith("{") else text_entry(line) for line in found]


def text_entry(line: str) -> dict[str, Any]:
    pattern = r'\[.+?\] (\S+) "(\S+) (\S+)" (\d+) (\d+) (\d+)ms "(.*)" (\S+)'
    names = ("client", "method", "path", "status", "bytes", "duration_ms", "user_agent", "request_id")
    found = re.fullmatch(pattern, line)
    assert found is not None, line
    return {
        name: int(text) if text.isdecimal() else text
        for name, text in zip(names, found.groups(), strict=True)
    }


def test_a_line_tells_who_asked_what_and_what_became_of_it(service: Service, kind: str) -> None:
    headers = {"X-Request-ID": "one-of-mine", "X-Forwarded-For": CLIENT, "User-Agent": "tests/1"}
    call(service, f"/api/log/token?key={KEY}", **headers)
    if kind == "off":
        assert "one-of-mine" not in service.printed()
        return
    [entry] = entries(service, "one-of-mine")
    told = {
        "client": CLIENT,
        "method": "GET",
        "path": "/api/log/token",
        "status": 200,
        "user_agent": "tests/1",
    }
    assert told.items() <= entry.items()
    assert entry["bytes"] > 0
    if kind == "json":
        assert entry["route"] == "/api/log/token"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", entry["time"])


@contextmanager
def logging_to(path: Path, **settings: str) -> Iterator[RequestLogger]:
    """Log as gunicorn does, into a file, and leave the log of the service as it was."""
    log = logging.getLogger("logservice")
    before = log.handlers, log.level, log.propagate, list(log.filters)
    config = Config()
    for name, value in {"errorlog": str(path), **settings}.items():
        config.set(name, value)
    logger = RequestLogger(config)
    try:
        yield logger
    finally:
        log.handlers, log.level, log.propagate, log.filters = before
        for one in (logger.error_log, logger.access_log):
            for handler in list(one.handlers):
                # One that is only closed opens the file again for whoever logs there next.
                one.removeHandler(handler)
                handler.close()


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (JSON_FORMAT, '"duration_ms": 1520,'),
        (TEXT_FORMAT, " 1520ms "),
        ("%(M)s of %(D)s", "1520 of 1520000"),
    ],
    ids=["json", "text", "of one's own"],
)
def test_what_a_request_waited_to_begin_is_part_of_what_it_took(tmp_path: Path, form: str, told: str) -> None:
    file = tmp_path / "access"
    answer = SimpleNamespace(status="200 OK", sent=3, headers=[])
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "RAW_URI": "/", "SERVER_PROTOCOL": "HTTP/1.1"}
    token = waited_to_begin.set(1.5)
    try:
        with logging_to(tmp_path / "log", accesslog=str(file), access_log_format=form) as logger:
            logger.access(answer, SimpleNamespace(headers=[]), environ, timedelta(milliseconds=20))
    finally:
        waited_to_begin.reset(token)
    assert told in file.read_text()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"/api/log/token/{KEY}", "/api/log/token/..."),
        (f"/api/log/token/{TOKEN}?key={KEY}", "/api/log/token/..."),
        ("/api/log/%0A[forged]%20line", "/api/log/%0A%5Bforged%5D%20line"),
        ("/api/logs/tokn", "/api/logs/tokn"),
        (f"/static/0000/{TOKEN}", "/static/0000/..."),
    ],
)
def test_a_path_that_leads_nowhere_is_shown_without_what_may_be_secret(
    service: Service, kind: str, path: str, shown: str
) -> None:
    name = f"path-{abs(hash(path)) % 10**8}"
    call(service, path, **{"X-Request-ID": name, "User-Agent": f"with {KEY} and {TOKEN} and \x85"})
    if kind == "off":
        return
    [entry] = entries(service, name)
    assert entry["path"] == shown
    assert entry["user_agent"] == "with sk-... and ... and ?"


@pytest.mark.parametrize(
    "request_line",
    [
        f"GET /api/log/token?key={KEY} HTTP/9.9",
        f"GET /api/log/token?key={KEY} and more HTTP/1.1",
        f"g#t /api/log/token?key={KEY} HTTP/1.1",
        f"GET /api/log/token?key={KEY}{'x' * 9000} HTTP/1.1",
        f"GET /api/log/token?key={KEY} HTTP/1.1\r\nBad Header: {KEY}",
        f"GET /api/log/token?key={KEY} HTTP/1.1\r\nTransfer-Encoding: {KEY}",
        f"GET /{KEY} HTTP/1.1\r\nAuthorization: {KEY}\r\n {KEY}",
        f"POST /api/log/{KEY} HTTP/1.1\r\nContent-Length: {KEY}",
    ],
)
def test_a_request_that_gunicorn_refuses_leaves_nothing_of_it(service: Service, request_line: str) -> None:
    answer = call_raw(service, f"{request_line}\r\nHost: localhost\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] [45]", answer), answer
    assert KEY not in service.printed()
    assert "sk-" not in service.printed().replace("sk-...", "")


def test_masks_leave_what_is_no_secret() -> None:
    plain = "task-force desk-top risk-assessment 7d7f906cd5282639 123e4567-e89b-12d3-a456-426614174000"
    assert mask(plain) == plain
    assert mask_path("/api/log/self/export") == "/api/log/self/export"
    assert mask("sk-proj.with.points/next") == "sk-.../next"
    assert mask(f"(SK-{'a' * 9}) {TOKEN}.") == "(sk-...) ...."


FORGED = "[2026-01-01 00:00:00 +0000] [1] [INFO] forged"
#: What ends a line for a file, a terminal or a program that reads logs, or moves to its beginning.
ENDS = ("\n", "\r", "\r\n", "\v", "\f", "\x1b[2K\x1b[G", "\x85", "\u2028", "\u2029", "\x08" * 80)


@pytest.mark.parametrize("end", ENDS, ids=ascii)
def test_no_text_of_a_client_begins_a_line(end: str) -> None:
    for written in (mask_line(f"x{end}{FORGED}"), one_entry(f"[1] it failed\n  at x\nError: x{end}{FORGED}")):
        first, *further = re.split(r"[\n\r\v\f\x85\u2028\u2029]", written)
        assert all(line.startswith("    ") for line in further)
        assert "\x1b" not in written
        assert "\x08" not in written
        assert not first.startswith(FORGED)


def test_what_an_exception_says_is_no_line_of_its_own(tmp_path: Path) -> None:
    with logging_to(tmp_path / "log") as logger:
        try:
            raise ValueError(f"no such name: x\r\n{FORGED}")
        except ValueError:
            logger.exception("it failed")
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line for line in lines if not line.startswith("    ")] == [lines[0]]
    assert "it failed" in lines[0]
    assert any(FORGED in line for line in lines)

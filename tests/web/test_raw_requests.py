"""Requests that no client of HTTP would write, byte by byte, to the service as it runs."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.serving import TOKENS, Service, serving

WRITER = f"Host: x\r\nAuthorization: Bearer {TOKENS['gateway']}\r\nContent-Type: application/json\r\n"
READER = f"Host: x\r\nAuthorization: Bearer {TOKENS['root']}\r\n"
POST = f"POST /api/log/ HTTP/1.1\r\n{WRITER}"
CHUNKED = f"{POST}Transfer-Encoding: chunked\r\n\r\n"
STRANGER = "POST /api/log/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = '[{"username":"alice"}]'


def get(target: str, headers: str = "") -> str:
    return f"GET {target} HTTP/1.1\r\n{READER}{headers}\r\n"


def stranger(target: str, headers: str = "") -> str:
    return f"GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"


#: What is sent before the client sends no more, and the status that answers it.
REQUESTS = {
    "a chunk of no size": (CHUNKED + "zz\r\n", 400),
    "a chunk of negative size": (CHUNKED + "-1\r\n", 400),
    "a chunk of a size beyond all": (CHUNKED + "f" * 30 + "\r\n[", 400),
    "a chunk size without end": (CHUNKED + "1" * 20_000, 400),
    "a chunk that is longer than it says": (CHUNKED + "2\r\n[]xx0\r\n\r\n", 400),
    "a chunk that ends too early": (CHUNKED + "5\r\n[", 400),
    "a chunk with a broken extension": (CHUNKED + "2;a=\x01\r\n[]\r\n0\r\n\r\n", 400),
    "no last chunk": (CHUNKED + f"{len(EVENT):x}\r\n{EVENT}\r\n", 400),
    "half a last chunk": (CHUNKED + f"{len(EVENT):x}\r\n{EVENT}\r\n0\r\n", 400),
    "half a trailer": (CHUNKED + "2\r\n[]\r\n0\r\nX-a: b", 400),
    "a trailer that is none": (CHUNKED + "2\r\n[]\r\n0\r\nno header\r\n\r\n", 400),
    "a trailer without end": (CHUNKED + "2\r\n[]\r\n0\r\na: " + "x" * 300_000, 400),
    "more trailers than headers may be": (CHUNKED + "2\r\n[]\r\n0\r\n" + "a: b\r\n" * 500 + "\r\n", 400),
    "a stranger's broken chunk": (STRANGER + "zz\r\n", 401),
    "a length beyond what comes": (f"{POST}Content-Length: 9999\r\n\r\n{EVENT}", 400),
    "a length beyond what is taken": (f"{POST}Content-Length: 99999999999999\r\n\r\n{EVENT}", 413),
    "a length below what comes": (f"{POST}Content-Length: 3\r\n\r\n{EVENT}", 400),
    "a negative length": (f"{POST}Content-Length: -1\r\n\r\n{EVENT}", 400),
    "a length that is none": (f"{POST}Content-Length: ten\r\n\r\n{EVENT}", 400),
    "two lengths": (f"{POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]", 400),
    "length and chunks": (f"{POST}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "another coding": (f"{POST}Transfer-Encoding: nonsense\r\n\r\n[]", 501),
    "no length at all": (f"{POST}\r\n", 400),
    "hundreds of headers": (get("/api/log/", "X-More: x\r\n" * 300), 431),
    "a long header": (get("/api/log/", f"X-Long: {'x' * 20_000}\r\n"), 431),
    "headers without end": (f"GET / HTTP/1.1\r\nHost: x\r\nX-Long: {'x' * 2_000_000}", 431),
    "a header without a name": (get("/api/log/", ": x\r\n"), 400),
    "a header of two lines": (get("/api/log/", "X-One: a\r\n b\r\n"), 400),
    "NUL in a header": (get("/api/log/", "X-Nul: a\0b\r\n"), 400),
    "a place of the sender's choice": (get("/api/log/", "SCRIPT_NAME: /elsewhere\r\n"), 200),
    "a hidden path": (stranger("/x/api/log/", "SCRIPT_NAME: /x\r\nPATH_INFO: /api/log/\r\n"), 404),
    "a long query": (get("/api/log/?model_name=" + "x" * 20_000), 414),
    "as long a query as goes through": (get("/api/log/?" + "a&" * 4000), 200),
    "no HTTP": ("hello\r\n\r\n", 400),
    "another version": ("GET / HTTP/9.9\r\n\r\n", 400),
    "percent and nothing": (get("/api/log/?model_name=%"), 200),
    "percent and no hex": (get("/api/log/?model_name=%zz&type=%zz"), 400),
    "no UTF-8 in a value": (get("/api/log/?model_name=%ff%fe&username=%c3%28"), 200),
    "no UTF-8 in a number": (get("/api/log/?p=%ff"), 400),
    "no UTF-8 in a name": (get("/api/log/?%ff=1&%00=%00"), 200),
    "half a surrogate pair in UTF-8": (get("/api/log/search?keyword=%ed%a0%80"), 200),
    "NUL in a value": (get("/api/log/?model_name=a%00b"), 400),
    "no UTF-8 in a path": (get("/api/log/%ff"), 404),
    "NUL in a path": (get("/api/log/%00"), 404),
    "percent in a path": (get("/api/log/%zz"), 404),
    "up and out of a path": (get("/api/../../../etc/passwd"), 404),
    "up and out, hidden": (get("/static/%2e%2e/%2e%2e/etc/passwd"), 404),
    "a line end in a value": (get("/api/log/?model_name=a%0d%0aX-Injected:%201"), 200),
    "a line end in a path": (get("/api/log/a%0d%0aX-Injected:%201"), 404),
    "a line end in the id of a request": (get("/api/log/", "X-Request-ID: a%0d%0aX-Injected: 1\r\n"), 200),
    "no UTF-8 in a credential": (stranger("/api/log/", "Authorization: Bearer \xff\r\n"), 401),
    "no UTF-8 in a key": (stranger("/api/log/token?key=%ff", "Authorization: \xff\xfe\r\n"), 200),
    "NUL in a key": (stranger("/api/log/token?key=sk-%00"), 200),
    "no UTF-8 in an Idempotency-Key": (f"{POST}Idempotency-Key: \xff\r\nContent-Length: 2\r\n\r\n[]", 200),
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("raw"), workers=1) as found:
        yield found


def answer_to(service: Service, request: str) -> bytes:
    """Return all that is answered to some bytes, each written as a character."""
    received = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        # Who is refused early may be hung up on while still sending, and while the answer is on its way.
        with contextlib.suppress(ConnectionError):
            client.sendall(request.encode("latin-1"))
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while part := client.recv(65536):
                received += part
    return received


@pytest.mark.parametrize(("request_text", "status"), REQUESTS.values(), ids=REQUESTS)
def test_what_is_malformed_is_refused_and_what_is_odd_is_read(
    service: Service, request_text: str, status: int
) -> None:
    answer = answer_to(service, request_text)
    assert answer.split(b" ", 2)[1].decode() == str(status), answer
    assert b"x-injected" not in answer.partition(b"\r\n\r\n")[0].lower()
    assert service.get("/api/log/")["total"] == 0
    assert "Traceback" not in service.printed()


def test_a_body_that_never_ends_is_cut_off_above_the_limit(service: Service) -> None:
    sent, received = 0, b""
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        client.sendall(CHUNKED.encode())
        with contextlib.suppress(ConnectionError):
            while sent < 2**30:
                client.sendall(chunk)
                sent += 2**20
        with contextlib.suppress(ConnectionError):
            received = client.recv(4096)
    assert sent < 100 * 2**20
    assert not received or received.startswith(b"HTTP/1.1 413 ")
    assert service.get("/api/log/")["total"] == 0

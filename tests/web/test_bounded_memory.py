"""Bodies that are short, or packed short, and would be huge once they are read: refused in bounded memory."""

from __future__ import annotations

import base64
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serving import TOKENS, Service, serving

#: By how much the memory of a worker may grow for any of them, in bytes: twice what was measured.
BOUND = 600 * 2**20
TEN_MILLION = 10_000_000
JSON = "application/json"
LINES = "application/x-ndjson"
PROTOBUF = "application/x-protobuf"


def many(element: bytes, size: int = 30 * 2**20) -> bytes:
    """Return an array of as many elements as so many bytes hold."""
    return b"[" + (element + b",") * (size // (len(element) + 1)) + element + b"]"


def packed_bomb() -> bytes:
    """Return a GiB of blanks, packed: a MiB. Its checksum is wrong, but nobody comes that far."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    part = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + part * 1024 + b"\3\0" + bytes(8)


def field(number: int, content: bytes) -> bytes:
    """Return a field of Protocol Buffers that holds others."""
    length, encoded = len(content), bytearray()
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *encoded, length]) + content


def spans(inner: bytes) -> bytes:
    """Return an ExportTraceServiceRequest with spans or what is inside one."""
    return field(1, field(2, inner))


def event(name: str, value: bytes) -> bytes:
    """Return an array of one event with one field."""
    return b'[{"' + name.encode() + b'":' + value + b"}]"


def numbers() -> bytes:
    return b"[" + b"0," * TEN_MILLION + b"0]"


def in_base64(data: bytes) -> bytes:
    """Return a CloudEvent whose data is hidden from who looks at the body."""
    head = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"'
    return head + base64.b64encode(data) + b'"}'


OWN, LITELLM, CLOUDEVENTS, OTLP = "/api/log/", "/api/ingest/litellm", "/api/v1/events", "/v1/traces"
PATHS = (OWN, LITELLM, CLOUDEVENTS, OTLP, "/api/ingest/cliproxyapi")
DIGITS = b"9" * 3 * TEN_MILLION
ESCAPED = b"\\u005b]\\u002c"

#: Path, type, status, body.
BODIES: dict[str, tuple[str, str, int, Callable[[], bytes]]] = {
    **{f"10 million numbers to {path}": (path, JSON, 413, numbers) for path in PATHS},
    "10 million empty events": (OWN, JSON, 413, lambda: many(b"{}")),
    "10 million lines": (OWN, LINES, 413, lambda: b"0\n" * TEN_MILLION),
    "30 million empty lines": (OWN, LINES, 400, lambda: b"\n" * 3 * TEN_MILLION),
    "as many events as values may be": (OWN, JSON, 413, lambda: many(b"{}", 4_490_000)),
    "as many payloads as values may be": (LITELLM, JSON, 413, lambda: many(b'{"":0}', 10_400_000)),
    "a payload of as many values": (LITELLM, JSON, 400, lambda: event("a", many(b'{"a":1}', 11_900_000))),
    "an event of lists": (OWN, JSON, 413, lambda: event("other", b'{"a":' + many(b"[]") + b"}")),
    "an event of fewer": (OWN, JSON, 400, lambda: event("other", b'{"a":' + many(b"[]", 4_400_000) + b"}")),
    "an event of lists, escaped": (
        OWN,
        JSON,
        400,
        lambda: event("other", b'"[' + ESCAPED * 2_000_000 + b'"'),
    ),
    "lists in Base64": (CLOUDEVENTS, JSON, 400, lambda: in_base64(many(b"[]", 24_000_000))),
    "a key two million times": (OWN, JSON, 400, lambda: event("x", b'1,"quota":-1e99' * 2_000_000)),
    "a number of 30 million digits": (OWN, JSON, 400, lambda: event("quota", DIGITS)),
    "a fraction of 30 million digits": (OWN, JSON, 400, lambda: event("quota", b"0.5" + DIGITS)),
    "a text of 30 million characters": (OWN, JSON, 400, lambda: event("content", b'"' + DIGITS + b'"')),
    "nested 100 thousand deep": (OWN, JSON, 400, lambda: b'[{"other":' * 100_000),
    "nested 30 million deep": (OWN, JSON, 413, lambda: b"[" * 3 * TEN_MILLION),
    "a GiB packed twice": (OWN, JSON, 400, packed_bomb),
    "15 million spans": (OTLP, PROTOBUF, 413, lambda: spans(field(2, b"") * 15_000_000)),
    "15 million attributes": (OTLP, PROTOBUF, 413, lambda: spans(field(2, field(9, b"") * 15_000_000))),
    "as many spans as go uncounted": (OTLP, PROTOBUF, 413, lambda: spans(field(2, b"") * 524_000)),
    "10 million spans in JSON": (
        *(OTLP, JSON, 413),
        lambda: b'{"resourceSpans":[{"scopeSpans":[{"spans":' + many(b"{}") + b"}]}]}",
    ),
}
#: The same, packed already.
PACKED = {
    name: (*known, lambda make=make: gzip.compress(make(), 1)) for name, (*known, make) in BODIES.items()
}
PACKED["a GiB packed"] = (OWN, JSON, 413, packed_bomb)
PACKED["a GiB in 2000 parts"] = (OWN, JSON, 413, lambda: gzip.compress(b" " * 2**19) * 2000)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("memory"), workers=1) as found:
        yield found


@pytest.fixture(scope="module")
def worker(service: Service) -> Path:
    """The folder of /proc that tells of the one worker."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text()
    return Path(f"/proc/{children.split()[0]}")


@pytest.fixture(scope="module")
def at_first(worker: Path) -> int:
    """What the worker takes before any of this."""
    return memory(worker, "VmRSS")


def memory(worker: Path, name: str) -> int:
    """Return what a process takes now (VmRSS) or took at most (VmHWM), in bytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", (worker / "status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.parametrize("name", PACKED)
def test_what_is_short_and_would_be_huge_is_refused_in_bounded_memory(
    service: Service, worker: Path, at_first: int, name: str
) -> None:
    path, kind, status, make = PACKED[name]
    packed = make()
    # From here on the most that it takes is counted anew.
    (worker / "clear_refs").write_text("5")
    connection = service.open()
    try:
        headers = {
            "Content-Type": kind,
            "Content-Encoding": "gzip",
            "Authorization": f"Bearer {TOKENS['gateway']}",
        }
        connection.request("POST", path, packed, headers)
        answer = connection.getresponse()
        assert answer.read()
        assert answer.status == status
    finally:
        connection.close()
    grown = memory(worker, "VmHWM") - at_first
    print(f"{name}: {len(packed):,} bytes, {grown / 2**20:.0f} MiB")
    assert grown < BOUND
    assert service.get("/api/log/")["total"] == 0

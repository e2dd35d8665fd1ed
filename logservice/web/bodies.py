"""The body of a post, unpacked and cut into single events, in bounded memory."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import request
from werkzeug.exceptions import ClientDisconnected

from .auth import asks_host
from .responses import ApiError
from .state import current_state

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ONE = msgspec.json.Decoder(msgspec.Raw)
_LINES = "application/x-ndjson"
_GZIP = 16 + zlib.MAX_WBITS
#: More events than this in one body would keep other writers waiting for too long.
MOST_EVENTS = 100_000
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of a body as they were meant, and whether each line is a value of its own."""

    content: bytes
    in_lines: bool


def read() -> Body:
    """Return the body of this request, unpacked. Raises ApiError 400, 413 or 415."""
    kind = request.mimetype
    # A page of another site can have a browser post a body of no type without asking first (mode no-cors).
    if not kind and asks_host():
        raise ApiError(415, f"Content-Type: missing; it is application/json or {_LINES}")
    if kind and kind not in ("application/json", _LINES) and not kind.endswith("+json"):
        raise ApiError(415, f"Content-Type: {kind[:80]} is neither application/json nor {_LINES}")
    return Body(unpacked().removeprefix(_BOM), kind == _LINES)


def unpacked() -> bytes:
    """Return the body of this request, whatever it holds, unpacked. Raises ApiError 400, 413 or 415."""
    limit = current_state().settings.max_body
    return _unpacked(_received(limit), limit)


def events(body: Body, *, lines_unlabelled: bool = False) -> Sequence[Any]:
    """Return the single events of a body: one object, an array of them, or one on each line.

    An event is returned as JSON, or decoded where a strict reader refused the body: Python producers write
    NaN and half surrogate pairs, and one such event must not cost the others. With `lines_unlabelled`,
    lines labelled as one JSON value are taken for what they are.
    """
    found = _events(body, lines_unlabelled=lines_unlabelled)
    if len(found) > MOST_EVENTS:
        raise ApiError(413, f"body: {len(found)} events are more than {MOST_EVENTS} in one post")
    return found


def _events(body: Body, *, lines_unlabelled: bool) -> Sequence[Any]:
    content = body.content.strip()
    if not content:
        raise ApiError(400, "body: empty; an event, an array of events or lines of them are expected")
    if body.in_lines:
        return _lines(content)
    try:
        return _ARRAY.decode(content) if content.startswith(b"[") else [_ONE.decode(content)]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        if lines_unlabelled and content.startswith(b"{") and b"\n" in content:
            return _lines(content)
        return _loosely(content)
    except RecursionError:
        if content.startswith(b"{"):
            return [content]
        raise ApiError(400, "body: nested too deeply") from None


def _loosely(content: bytes) -> list[Any]:
    try:
        decoded = json.loads(content.decode())
    except ValueError as error:
        raise ApiError(400, f"body: not valid JSON ({error})") from None
    except RecursionError:
        raise ApiError(400, "body: nested too deeply") from None
    return decoded if isinstance(decoded, list) else [decoded]


def decoded(event: Any) -> Any:
    """Return an event of `events` decoded. Raises ValueError or RecursionError."""
    if not isinstance(event, bytes | msgspec.Raw):
        return event
    try:
        return msgspec.json.decode(event)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return json.loads(bytes(event).decode())


def _lines(content: bytes) -> list[bytes | msgspec.Raw]:
    return [line for line in content.split(b"\n") if line.strip()]


def _received(limit: int) -> bytes:
    """Read the body. A limit of the host's own stays in force when it is lower.

    One byte more than allowed is asked for: of a chunked body that is too long, no more than that arrives,
    and nothing else would tell it from a shorter one.
    """
    limit = min(limit, request.max_content_length or limit)
    request.max_content_length = limit + 1
    try:
        content = request.get_data(cache=False)
    except ClientDisconnected:
        raise ApiError(400, "body: ended too early") from None
    if len(content) > limit:
        raise ApiError(413, f"body: longer than {limit} bytes")
    return content


def _unpacked(content: bytes, limit: int) -> bytes:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return content
    if encoding not in ("gzip", "x-gzip"):
        raise ApiError(415, f"Content-Encoding: {encoding[:40]} is neither gzip nor identity")
    try:
        return _gunzip(content, limit)
    except zlib.error:
        raise ApiError(400, "body: not valid gzip") from None


def _gunzip(content: bytes, limit: int) -> bytes:
    """Unpack a gzip body, stopping as soon as it exceeds the limit."""
    unpacked = bytearray()
    while content:
        member = zlib.decompressobj(_GZIP)
        unpacked += member.decompress(content, limit - len(unpacked) + 1)
        if len(unpacked) > limit:
            raise ApiError(413, f"body: unpacks to more than {limit} bytes")
        if not member.eof:
            raise ApiError(400, "body: gzip data ends too early")
        content = member.unused_data
    return bytes(unpacked)

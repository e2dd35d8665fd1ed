"""The body of a post, unpacked and cut into single events, in bounded memory."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
from flask import request
from werkzeug.exceptions import ClientDisconnected

from .. import json_bounds
from .auth import asks_host
from .responses import ApiError
from .state import current_state

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ONE = msgspec.json.Decoder(msgspec.Raw)
_LINES = "application/x-ndjson"
#: What makes it right where a program names another type by itself, as `curl -d` does.
HOW_TO_SAY = "send the header `Content-Type: application/json`"
_GZIP = 16 + zlib.MAX_WBITS
#: More events than this in one body would keep other writers waiting for too long.
MOST_EVENTS = 100_000
#: Programs that pack in parts make large ones; to unpack an empty one takes time and gives nothing.
MOST_MEMBERS = 10_000
_PIECE = 2**16
_LINE = re.compile(rb"[^\n]+")
_CUT_OFF = "body: ended too early, or its chunks are malformed"
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
        raise ApiError(415, f"Content-Type: missing; it is application/json or {_LINES}; {HOW_TO_SAY}")
    if kind and kind not in ("application/json", _LINES) and not kind.endswith("+json"):
        raise ApiError(
            415, f"Content-Type: {kind[:80]} is neither application/json nor {_LINES}; {HOW_TO_SAY}"
        )
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
        raise ApiError(413, f"body: more than {MOST_EVENTS} events in one post")
    return found


def refuse_too_much(content: bytes) -> None:
    """Refuse JSON that would take far more memory decoded than it is long. Raises ApiError 413."""
    if json_bounds.holds_too_much(content):
        raise ApiError(413, f"body: more than {json_bounds.MOST_VALUES} values in one post")


def _events(body: Body, *, lines_unlabelled: bool) -> Sequence[Any]:
    content = body.content.strip()
    if not content:
        raise ApiError(400, "body: empty; an event, an array of events or lines of them are expected")
    refuse_too_much(content)
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
    """Return the lines that hold something, and no more of them than tell that they are too many."""
    lines = (found[0] for found in _LINE.finditer(content) if found[0].strip())
    return [*islice(lines, MOST_EVENTS + 1)]


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
        raise ApiError(400, _CUT_OFF) from None
    if len(content) > limit:
        raise ApiError(413, f"body: longer than {limit} bytes")
    # Gunicorn says that a body is over, not whether all of it came, and half of some lines is not malformed.
    if len(content) < (request.content_length or 0):
        raise ApiError(400, _CUT_OFF)
    return content


def _unpacked(content: bytes, limit: int) -> bytes:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return content
    if encoding not in ("gzip", "x-gzip"):
        raise ApiError(415, f"Content-Encoding: {encoding[:40]} is neither gzip nor identity")
    try:
        return gunzip(content, limit)
    except zlib.error:
        raise ApiError(400, "body: not valid gzip") from None


def gunzip(content: bytes, limit: int) -> bytes:
    """Unpack a gzip body, stopping as soon as it exceeds the limit. Raises ApiError or zlib.error."""
    packed, unpacked = memoryview(content), bytearray()
    for _ in range(MOST_MEMBERS):
        if not packed:
            return bytes(unpacked)
        packed = packed[_unpack_member(packed, unpacked, limit) :]
    raise ApiError(413, f"body: more than {MOST_MEMBERS} members of gzip")


def _unpack_member(packed: memoryview, unpacked: bytearray, limit: int) -> int:
    """Unpack the first member onto the end of what is there; return how long it is packed.

    Piece by piece: what lies behind a member is copied when it ends.
    """
    member = zlib.decompressobj(_GZIP)
    for start in range(0, len(packed), _PIECE):
        piece = packed[start : start + _PIECE]
        unpacked += member.decompress(piece, limit - len(unpacked) + 1)
        if len(unpacked) > limit:
            raise ApiError(413, f"body: unpacks to more than {limit} bytes")
        if member.eof:
            return start + len(piece) - len(member.unused_data)
    raise ApiError(400, "body: gzip data ends too early")

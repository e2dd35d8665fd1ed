"""Requests that waited too long for a thread of the server, or for their turn: they are refused at once.

More requests than the service can do would otherwise wait ever longer, until each is answered after its
client has gone. So who waited for long is told to come back, which costs little, and who comes next need not
wait as long. How long a request has waited, the system knows: since its last byte came in. That counts the
time before the connection was accepted, and needs no clock of anybody else's; who came while the service was
starting, and that is seconds, has waited since it was ready. Where the rest of a body comes while a request
waits, the server's worker knows better; and it says what would wait too long, before it does.
"""

from __future__ import annotations

import socket
import struct
import time
from functools import partial
from typing import Any

from flask import Flask, request

from ..server_threads import LONGEST_SECONDS as LONGEST_SECONDS
from ..server_threads import REFUSABLE, REFUSES, is_refused, waited_to_begin
from .responses import ApiError

_MESSAGE = "too many requests are waiting; try again"

# Milliseconds since data came in last, `tcpi_last_data_recv` of Linux: include/uapi/linux/tcp.h
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_LAST_DATA = struct.Struct("=52xI")


def init_app(app: Flask) -> None:
    """Refuse in an application, which is ready now, what waited too long, before anybody is recognised."""
    app.before_request(partial(_refuse_late, time.monotonic()))
    app.extensions[REFUSES] = True


def _refuse_late(ready: float) -> None:
    if is_refused.get() or (_may_be_late() and _is_late(ready)):
        raise ApiError(503, _MESSAGE, headers={"Retry-After": "1"})


def _may_be_late() -> bool:
    """Whether a request asks something of the log: what else there is is answered however late."""
    return request.method != "OPTIONS" and request.path.startswith(REFUSABLE)


def _is_late(ready: float) -> bool:
    since_ready = time.monotonic() - ready
    since_last_byte = waited(request.environ.get("gunicorn.socket"))
    return min(max(since_last_byte, waited_to_begin.get()), since_ready) > LONGEST_SECONDS


def waited(connection: Any) -> float:
    """Return for how many seconds a request has waited since its last byte came in over a TCP connection.

    0 where that is not known: on a unix socket, under another server or on another system.
    """
    if connection is None or _TCP_INFO is None:
        return 0.0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LAST_DATA.size)
        [milliseconds] = _LAST_DATA.unpack(info)
    except (OSError, struct.error):
        return 0.0
    return float(milliseconds) / 1000

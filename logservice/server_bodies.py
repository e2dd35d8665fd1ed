"""Bodies of requests as a worker of gunicorn reads them, and whether their connections go on."""

from __future__ import annotations

import errno
from typing import Any

from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import TConn

from . import server_headers as headers


class BodyReader:
    """Reads a body as gunicorn's reader does; chunks that are none end it, as if the client had hung up.

    Gunicorn's own errors for them mean nothing to an application, which would take them for its own mistakes.
    And where a client hangs up, or is late, gunicorn counts what it has asked for as read: the rest, if it
    comes, would be the next request.
    """

    def __init__(self, reader: Any) -> None:
        #: Gunicorn's own.
        self.inner = reader
        self._is_over = False

    def read(self, size: int) -> bytes:
        if self._is_over:
            return b""
        left = getattr(self.inner, "length", None)
        try:
            content: bytes = self.inner.read(size)
        except ParseException as error:
            raise ConnectionResetError(errno.ECONNRESET, str(error)) from None
        if left is not None:
            self.inner.length = left - len(content)
            self._is_over = len(content) < min(left, size)
        return content


def should_close(req: Any, conn: TConn) -> bool:
    """Whether a connection ends with an answer, which says so; gunicorn asks before it and after it.

    It ends too where the rest of the body is not there: a client that was told otherwise would send its next
    request, and find the connection closed. What was said before an answer holds after it.
    """
    if not is_there(conn):
        req.force_close()
    return bool(type(req).should_close(req))


def is_there(conn: TConn) -> bool:
    """Whether the body of a request was read to its end, or lies there to the end of its length.

    No more of it can be seen than the longest headers, and nobody looks whether chunks are there.
    """
    parser: Any = conn.parser
    if parser.mesg.body.failed:
        return False
    reader = parser.mesg.body.reader.inner
    left = getattr(reader, "length", None)
    if left is None:
        return getattr(reader, "parser", ...) is None
    return not left or left <= len(parser.unreader.buf.getvalue()) + len(headers.look(conn.sock) or b"")

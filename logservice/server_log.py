"""Gunicorn's two logs as this service writes them: no query, no key, no token, and no forged line."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from gunicorn.glogging import Logger

from .environ import CLIENT, REQUEST_ID, ROUTE
from .masking import mask, mask_line, mask_path, one_entry
from .server_threads import waited_to_begin

TEXT_FORMAT = '%(t)s %(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms "%(a)s" %(id)s'
#: How `access_log_format` says that each line is a JSON object.
JSON_FORMAT = "json"


class _MaskRequests(logging.Filter):
    """Take out of the error log what a client sent beyond its path: it may hold an API key."""

    _refused = re.compile(r"^(Invalid request from ip=\S+): .*", re.DOTALL)
    _query = re.compile(r"\?\S*")

    def filter(self, record: logging.LogRecord) -> bool:
        message = self._refused.sub(r"\1", record.getMessage())
        record.msg, record.args = self._query.sub("?...", message), ()
        return True


class _Masking(logging.Formatter):
    """Masks the whole of an entry, traceback included, and has nothing in it look like another one."""

    def format(self, record: logging.LogRecord) -> str:
        return one_entry(mask(super().format(record)))


class RequestLogger(Logger):
    """Gunicorn's logger, with access lines of our own; what the service has to say goes the same way."""

    def setup(self, cfg: Any) -> None:
        """Set up both logs; a configuration that is read again does so again."""
        super().setup(cfg)
        self.error_log.filters = [_MaskRequests()]
        for handler in self.error_log.handlers:
            handler.setFormatter(_Masking(self.error_fmt, self.datefmt))
        own = logging.getLogger("logservice")
        own.handlers = list(self.error_log.handlers)
        own.setLevel(self.error_log.level)
        own.propagate = False

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        """Write the line of a request that is over: it took what it waited to begin, and `request_time`."""
        request_time += timedelta(seconds=waited_to_begin.get())
        if self.cfg.access_log_format != JSON_FORMAT:
            super().access(resp, req, environ, request_time)
        elif self.cfg.accesslog:
            self.access_log.info("%s", json.dumps(_entry(resp, environ, request_time), ensure_ascii=False))

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> Any:
        """Return what a text line is made of, under gunicorn's names."""
        entry = _entry(resp, environ, request_time)
        ours = {
            "t": self.now(),
            "h": entry["client"],
            "m": entry["method"],
            "U": entry["path"],
            "s": entry["status"],
            "B": entry["bytes"],
            "M": entry["duration_ms"],
            "a": entry["user_agent"],
            "id": entry["request_id"] or "-",
        }
        if self.cfg.access_log_format == TEXT_FORMAT:
            # No more than our own line needs: gunicorn copies every header of each request and answer.
            return ours
        return {**super().atoms(resp, req, environ, request_time), **ours}


def _entry(resp: Any, environ: Any, request_time: timedelta) -> dict[str, Any]:
    """Return what is told of a request, ready to be written down."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": environ.get(REQUEST_ID),
        "client": environ.get(CLIENT) or environ.get("REMOTE_ADDR") or "-",
        "method": environ.get("REQUEST_METHOD"),
        "path": _path(environ),
        "route": environ.get(ROUTE),
        "status": int(str(resp.status).partition(" ")[0]),
        "bytes": resp.sent,
        "duration_ms": request_time // timedelta(milliseconds=1),
        "user_agent": mask_line(environ.get("HTTP_USER_AGENT", "-")),
    }


def _path(environ: Any) -> str:
    """Return the path, quoted again: it comes decoded, and %0A in it would forge a line of the log."""
    path, route = environ.get("PATH_INFO", ""), environ.get(ROUTE)
    if route is None or "<" in route:
        # It leads nowhere, or is the client's own choice in part.
        path = mask_path(path)
    return quote(path, encoding="latin-1", errors="replace") or "-"

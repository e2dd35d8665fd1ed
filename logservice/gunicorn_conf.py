"""Gunicorn settings for `logservice serve` and `gunicorn wsgi:app`; nothing else imports this module.

Gunicorn ignores names it does not know, so settings of newer versions may stand here as well.
"""

import logging
import os
import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from gunicorn.glogging import Logger


def _whole_number(name: str, default: int) -> int:
    """Read a number of at least 1 from the environment, or end with a line that says what is wrong."""
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise SystemExit(f"{name} must be a whole number of at least 1, not {text!r}")
    return int(text)


class _MaskRequests(logging.Filter):
    """Take out of the error log what a client sent beyond its path: it may hold an API key."""

    _refused = re.compile(r"^(Invalid request from ip=\S+): .*", re.DOTALL)
    _query = re.compile(r"\?\S*")

    def filter(self, record: logging.LogRecord) -> bool:
        message = self._refused.sub(r"\1", record.getMessage())
        record.msg, record.args = self._query.sub("?...", message), ()
        return True


class RequestLogger(Logger):
    """Gunicorn's logger; no query reaches the error log and no control character the access log."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.error_log.addFilter(_MaskRequests())

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> Any:
        """Quote the path again: it comes decoded, and %0A in it would forge a line of the log."""
        path = quote(environ.get("PATH_INFO", ""), encoding="latin-1")
        if self.cfg.access_log_format != access_log_format:
            return {**super().atoms(resp, req, environ, request_time), "U": path}
        # No more than our own line needs: gunicorn copies every header of each request and answer.
        return {
            "t": self.now(),
            "h": environ.get("REMOTE_ADDR", "-"),
            "m": environ.get("REQUEST_METHOD"),
            "U": path,
            "s": str(resp.status).partition(" ")[0],
            "B": resp.sent,
            "M": request_time // timedelta(milliseconds=1),
            "a": environ.get("HTTP_USER_AGENT", "-"),
        }


# This machine only: who else may connect is a decision, not a default.
bind = os.environ.get("LOGSERVICE_BIND") or "127.0.0.1:8000"

# Threads wait for the database cheaply; a second process uses a second core, and survives the first.
worker_class = "gthread"
workers = _whole_number("LOGSERVICE_WORKERS", 2)
threads = _whole_number("LOGSERVICE_THREADS", 8)
timeout = 60
graceful_timeout = 30
keepalive = 5

# Names in filters may have 128 characters, in a URL nine bytes each if Chinese: the default, 4094, is short.
limit_request_line = 8190

# Workers prove that they live by touching a file. On a slow disk that can block long enough to look dead.
_memory = "/dev/shm"  # noqa: S108 - gunicorn makes its file there under a random name and unlinks it
worker_tmp_dir = _memory if os.access(_memory, os.W_OK) else None

# Newer versions open a socket for remote control; nothing here uses it. Gunicorn 23 has none.
control_socket_disable = True

# No %(r)s, %(q)s or %(f)s: the query of /api/log/token holds a key, and so may the referring page's.
logger_class = RequestLogger
accesslog = "-"
access_log_format = '%(t)s %(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms "%(a)s"'
loglevel = os.environ.get("LOGSERVICE_LOG_LEVEL") or "info"

"""Gunicorn settings for `logservice serve` and `gunicorn wsgi:app`; nothing else imports this module.

Gunicorn ignores names it does not know, so settings of newer versions may stand here as well.
"""

import os

# Not relative, for a file of gunicorn's settings may also be run by itself.
from logservice.metric_files import on_exit as on_exit
from logservice.metric_files import on_starting as on_starting
from logservice.open_files import connections_for
from logservice.server_log import JSON_FORMAT, TEXT_FORMAT, RequestLogger


def _whole_number(name: str, default: int) -> int:
    """Read a number of at least 1 from the environment, or end with a line that says what is wrong."""
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise SystemExit(f"{name} must be a whole number of at least 1, not {text!r}")
    return int(text)


def _one_of(name: str, *choices: str) -> str:
    """Read one of some words from the environment, the first by default, or end likewise."""
    text = os.environ.get(name, "").strip().lower() or choices[0]
    if text not in choices:
        raise SystemExit(f"{name} must be one of {', '.join(choices)}, not {text!r}")
    return text


# This machine only: who else may connect is a decision, not a default.
bind = os.environ.get("LOGSERVICE_BIND") or "127.0.0.1:8000"

# Threads wait for the database cheaply; a second process uses a second core, and survives the first.
worker_class = "gthread"
workers = _whole_number("LOGSERVICE_WORKERS", 2)
threads = _whole_number("LOGSERVICE_THREADS", 8)
worker_connections = connections_for(threads)
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

logger_class = RequestLogger
_access_log = _one_of("LOGSERVICE_ACCESS_LOG", "text", "json", "off")
accesslog = None if _access_log == "off" else "-"
access_log_format = JSON_FORMAT if _access_log == "json" else TEXT_FORMAT
loglevel = os.environ.get("LOGSERVICE_LOG_LEVEL") or "info"

"""Gunicorn settings for `logservice serve` and `gunicorn wsgi:app`; nothing else imports this module.

Gunicorn ignores names it does not know, so settings of newer versions may stand here as well.
"""

import os

# Not relative, for a file of gunicorn's settings may also be run by itself.
from logservice import server_processors
from logservice.config import Serving, Settings
from logservice.errors import InvalidValue
from logservice.metric_files import on_exit as on_exit
from logservice.metric_files import on_starting as on_starting
from logservice.open_files import connections_for
from logservice.server_headers import LONGEST_LINE
from logservice.server_log import JSON_FORMAT, TEXT_FORMAT, RequestLogger
from logservice.server_worker import Worker

# One line, not a traceback: whoever starts the service has to mend it.
try:
    _settings = Serving.load()
    Settings.load({})
except InvalidValue as error:
    raise SystemExit(str(error)) from None

# This machine only: who else may connect is a decision, not a default.
bind = _settings.bind

# Threads wait for the database cheaply, and one of a process computes at a time; processes use one processor
# each, and survive each other.
worker_class = Worker
Worker.client_timeout = _settings.client_timeout
workers = _settings.workers
threads = _settings.threads
if _settings.cpu_affinity:
    pre_fork, post_fork = server_processors.pre_fork, server_processors.post_fork
worker_connections = connections_for(threads)
timeout = 60
graceful_timeout = 30
keepalive = 5

# Names in filters may have 128 characters, in a URL nine bytes each if Chinese: the default, 4094, is short.
limit_request_line = LONGEST_LINE

# Workers prove that they live by touching a file. On a slow disk that can block long enough to look dead.
_memory = "/dev/shm"  # nosec B108 # gunicorn makes its file there under a random name and unlinks it
worker_tmp_dir = _memory if os.access(_memory, os.W_OK) else None

# By itself gunicorn takes from whoever connects over loopback, as proxies do, where the application lies.
forwarder_headers = ""

# Gunicorn would open a socket for remote control; nothing here uses it.
control_socket_disable = True

logger_class = RequestLogger
accesslog = None if _settings.access_log == "off" else "-"
access_log_format = JSON_FORMAT if _settings.access_log == "json" else TEXT_FORMAT
loglevel = _settings.log_level

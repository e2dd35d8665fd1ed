"""The service as run by somebody whom permissions bind, which they do not root."""

from __future__ import annotations

# Looked up by name at the first request, when Python itself may be out of reach.
import encodings.idna  # noqa: F401 - imported for what it registers
import os

from flask import Flask

import logservice

IS_ROOT = os.geteuid() == 0
NOBODY = 65534
#: Has gunicorn import everything as whoever starts it, and give the workers to nobody then.
ENVIRON = {"GUNICORN_CMD_ARGS": f"--preload --user {NOBODY} --group {NOBODY}"} if IS_ROOT else {}


def create_app() -> Flask:
    """Return the application, with everything imported that it needs."""
    return logservice.create_app()


def become() -> None:
    """Be nobody from here on."""
    if IS_ROOT:
        os.setgid(NOBODY)
        os.setuid(NOBODY)

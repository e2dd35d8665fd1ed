"""logservice: the usage log of an LLM gateway, as a service or as a guest in a Flask application."""

from .app import create_app
from .extension import LogService
from .web.principal import Principal

__all__ = ["LogService", "Principal", "create_app"]

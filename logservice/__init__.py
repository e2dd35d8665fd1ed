"""logservice: the usage log of an LLM gateway, as a service or as a guest in a Flask application."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import create_app
    from .extension import LogService
    from .logs import current_logs
    from .web.principal import Principal

__all__ = ["LogService", "Principal", "create_app", "current_logs"]

_HOMES = {
    "LogService": ".extension",
    "Principal": ".web.principal",
    "create_app": ".app",
    "current_logs": ".logs",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is: a program that uses the client alone needs neither Flask nor SQL."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)

"""What belongs to one application: its settings, its store, its way to recognise callers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import current_app

from ..config import Settings
from ..store.policy import Rule
from ..store.store import LogStore
from .addresses import TrustedProxies
from .principal import Authenticate, ResolveKey
from .ratelimit import RateLimiter

if TYPE_CHECKING:
    from .metrics import Metrics

EXTENSION = "logservice"


@dataclass(frozen=True)
class State:
    """Kept in `app.extensions["logservice"]`, never on the extension object."""

    settings: Settings
    store: LogStore
    authenticate: Authenticate
    resolve_key: ResolveKey | None
    proxies: TrustedProxies
    rate_limiter: RateLimiter | None
    retention: tuple[Rule, ...]
    #: None where nothing is counted.
    metrics: Metrics | None = None


def current_state() -> State:
    """Return the state of the application that handles this request or command."""
    state: State = current_app.extensions[EXTENSION]
    return state

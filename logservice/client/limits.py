"""How much a client keeps, and how long it waits: the defaults, and what each of them means."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Numbers above 0; times are in seconds. Raises ValueError naming the one that is not."""

    #: Events that are kept until the service has answered for them; one more is dropped.
    max_events: int = 100_000
    #: The same in bytes of JSON.
    max_bytes: int = 64 * 2**20
    #: Events and bytes that are sent in one request.
    batch_events: int = 500
    batch_bytes: int = 2**20
    #: How long an event waits for others to share its request.
    gather: float = 0.5
    connect_timeout: float = 5.0
    #: How long the service may be silent. It answers 503 itself when its database is locked for 10 seconds.
    read_timeout: float = 20.0
    #: How long one request may take in all, however busily the service trickles.
    deadline: float = 30.0
    #: The pause after a first failure. It doubles with each one, less up to half of it at random.
    first_pause: float = 0.2
    longest_pause: float = 30.0
    #: How long the end of the process may wait for what is still to be delivered.
    at_exit: float = 5.0

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"{limit.name}: {value!r} is no number above 0")

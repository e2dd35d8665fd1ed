"""What the store tells of its work as it does it, for whoever counts: by itself it keeps no figures."""

from __future__ import annotations

from collections.abc import Sequence


class Observer:
    """Is told what happens, and does nothing about it; what counts overrides it.

    The methods are called from several threads. They must be quick, and must not raise.
    """

    def stored(self, events: int) -> None:
        """So many events are on disk that were not there before."""

    def refused(self, events: int) -> None:
        """So many events were not valid."""

    def committed(self, waits: Sequence[float], seconds: float) -> None:
        """A commit of the writing thread took so many seconds; each piece of its work had waited as given."""

    def withdrawn(self) -> None:
        """A piece of work waited in vain for its turn, and was given up."""

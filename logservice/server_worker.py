"""Gunicorn's worker process as this service runs it: it ends soon after its master was killed."""

from __future__ import annotations

from gunicorn.workers.gthread import ThreadWorker


class Worker(ThreadWorker):
    """A worker with threads that stops when its master is gone, as it does at a SIGTERM: within two seconds.

    Gunicorn's own only takes no more connections. It goes on with those that are busy, and so keeps the port
    for the whole grace period, in which no new connection is answered and no other master can start.
    """

    def is_parent_alive(self) -> bool:
        """Whether the master is there; without it this worker is stopping."""
        self.alive = self.alive and super().is_parent_alive()
        return self.alive

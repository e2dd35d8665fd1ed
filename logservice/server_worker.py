"""Gunicorn's worker process as this service runs it: it ends soon after its master was killed."""

from __future__ import annotations

from gunicorn.workers.gthread import ThreadWorker


class Worker(ThreadWorker):
    """A worker with threads that stops when its master is gone, as it does at a SIGTERM.

    That is two seconds after it has answered what it had begun. Gunicorn's own only takes no new connections:
    it goes on with those that are busy, and so keeps the port for the whole grace period, in which nobody is
    answered who comes anew, and no other master can start.
    """

    def is_parent_alive(self) -> bool:
        """Whether the master is there; without it this worker is stopping."""
        self.alive = self.alive and super().is_parent_alive()
        return self.alive

"""Open files of a worker: as many as it may need, and no more connections than these suffice for.

A worker of gunicorn that cannot accept a connection, because it has too many files open, ends at once, with
all that it was doing. Anybody who opens connections and says nothing could bring that about: the usual limit
of the system is 1024 files, and gunicorn's of connections 1000.
"""

from __future__ import annotations

import resource
from contextlib import suppress

#: Connections that a worker keeps open at most, those that are idle between two requests among them. Offered
#: more than can be done many requests have one for two seconds, and those that find none wait unseen.
MOST_CONNECTIONS = 4000
# What a worker has open besides: logs, figures, sockets, and the pool of its database.
_OTHERS = 64
_EACH_THREAD = 4


def connections_for(threads: int) -> int:
    """Return how many connections a worker of so many threads may keep; its limit is raised if need be."""
    besides = _OTHERS + _EACH_THREAD * threads
    limit = _raised_to(MOST_CONNECTIONS + besides)
    return max(threads + 1, min(MOST_CONNECTIONS, limit - besides))


def _raised_to(wanted: int) -> int:
    """Return how many files may be open once that was raised as far as it is wanted and allowed."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY or allowed >= wanted:
        return wanted
    target = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

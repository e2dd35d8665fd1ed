"""Measuring what the service takes: room on disk, memory of its workers, processor time of a small page."""

from __future__ import annotations

import time
from contextlib import closing

from werkzeug.test import EnvironBuilder

from logservice import create_app
from logservice.cli.output import progress
from logservice.demo import DEMO_USERS
from logservice.web.state import EXTENSION

from .calling import Refused
from .choices import PAGE_SIZE
from .figures import Figure, both
from .loading import fill
from .pairs import Pair, Sizes
from .plan import Plan, Stage
from .processes import memory, processor_seconds
from .serving import Logins, Service, add_logins, serving

WARMING = 50
_PATH = f"/api/log/self?page_size={PAGE_SIZE}"


def sizes(plan: Plan, found: Sizes) -> list[Figure]:
    """Return how much room our database takes, of what the yardstick's takes."""
    figure = Figure(
        key="size",
        name="database size, search index included",
        unit="MB",
        yardstick=found.yardstick / 1e6,
        ours=found.ours / 1e6,
        ratio=found.ours / found.yardstick,
        goal=both("share", 0.9)[plan.engine],
    )
    return [figure]


def memories(stage: Stage) -> list[Figure]:
    """Return the memory of the worker that takes most."""
    found = [memory(worker) for worker in stage.service.workers()]
    most = max(found, key=lambda each: each["VmRSS"])
    figure = Figure(
        key="memory",
        name="memory of one worker after all of it",
        unit="MB",
        ours=most["VmRSS"],
        goal=both("below", 150)[stage.plan.engine],
        note=", ".join(f"{name} {size:,.0f} MB" for name, size in most.items()),
    )
    return [figure]


def small_page(plan: Plan, pair: Pair, *, end: int) -> list[Figure]:
    """Return the processor time that a page of somebody's own rows costs in a small database."""
    rows, somebody = plan.effort.small_rows, DEMO_USERS[0]
    pair.create()
    fill(pair, rows, end=end, label="Loading a small database")
    logins = add_logins(pair, somebody.user_id, somebody.username)
    with serving(pair, logins, log=plan.result("log"), workers=1) as service:
        cost = _page_cost(service, plan.effort.small_requests)
    alone = _application_cost(pair, logins, plan.effort.small_requests)
    name = f"processor time of a user's own page, {rows:,} rows"
    goal = both("below", 1.3)[plan.engine]
    return [
        Figure(key="small-page", name=f"{name}: a worker", unit="ms", ours=cost, goal=goal),
        Figure(key="small-page-alone", name=f"{name}: without gunicorn", unit="ms", ours=alone, goal=goal),
    ]


def _application_cost(pair: Pair, logins: Logins, requests: int) -> float:
    """Return milliseconds a request of the application alone, called in this process as a server would."""
    settings = {"LOGSERVICE_DATABASE_URL": pair.url}
    app = create_app(settings, instance_path=str(pair.folder))
    headers = {"Authorization": f"Bearer {logins.user}"}
    environ = EnvironBuilder(_PATH, headers=headers).get_environ()

    def ask() -> None:
        statuses: list[str] = []
        body = app.wsgi_app(environ.copy(), lambda status, *_: statuses.append(status))
        if statuses != ["200 OK"] or not b"".join(body):
            raise Refused(f"the application answered {statuses}")

    with closing(app.extensions[EXTENSION].store):
        for _ in range(WARMING):
            ask()
        before = time.process_time()
        for _ in range(requests):
            ask()
        return (time.process_time() - before) / requests * 1000


def _page_cost(service: Service, requests: int) -> float:
    """Return milliseconds a request; many are needed, for the kernel counts in steps of ten of them."""
    [worker] = service.workers()
    with service.call("user") as caller, progress("Asking for a page", requests) as advance:
        for _ in range(WARMING):
            caller.raw(_PATH)
        before = processor_seconds(worker)
        for _ in range(requests):
            caller.raw(_PATH)
            advance(1)
        return (processor_seconds(worker) - before) / requests * 1000

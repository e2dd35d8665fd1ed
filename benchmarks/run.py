"""One run from loading to the last figure. What fails is noted, and the rest is measured all the same."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial

from logservice.cli.output import progress
from logservice.folders import make_private

from .calling import Refused
from .choices import Choices, choose
from .figures import Figure
from .footprints import memories, sizes, small_page
from .loading import Loaded, forget, loaded
from .operations import operations
from .pairs import Pair, opened
from .plan import Plan, Stage
from .purging import purge
from .reading import Disagreement, read
from .rows import following
from .serving import Service, add_logins, serving
from .singles import single_writes
from .writing import BATCH, CONNECTIONS, Lost, batch_writes

#: With these a measurement ends badly, and leaves the others worth having.
FAILURES = (Disagreement, Lost, OSError, Refused)


@dataclass(slots=True)
class Outcome:
    """What a run found: facts about it, figures in the order of the result, and what went wrong."""

    plan: Plan
    facts: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, measure: Callable[[], list[Figure]]) -> None:
        """Measure something, or note why that was not possible."""
        try:
            self.figures += measure()
        except FAILURES as error:
            self.problems.append(f"{type(error).__name__}: {error}")


def run(plan: Plan) -> Outcome:
    """Do a whole run. What it made is removed at the end, except for loaded databases that are to be kept."""
    outcome = Outcome(plan)
    with _folder(plan), opened(plan.engine, plan.databases) as make_pair:
        pair, small = make_pair("measured"), make_pair("small")
        try:
            found = loaded(plan, make_pair("loaded"), pair)
            _measure(outcome, pair, found)
            outcome.add(partial(small_page, plan, small, end=found.end))
        finally:
            pair.remove()
            small.remove()
    return outcome


@contextmanager
def _folder(plan: Plan) -> Iterator[None]:
    if not plan.keep:
        forget(plan.databases)
    make_private(plan.databases)
    plan.result("log").unlink(missing_ok=True)
    try:
        yield
    finally:
        if not plan.keep:
            forget(plan.databases)


def _measure(outcome: Outcome, pair: Pair, found: Loaded) -> None:
    plan = outcome.plan
    with closing(pair.yardstick()) as yardstick:
        chosen = choose(yardstick, rows=plan.rows, end=found.end)
    outcome.facts += [*_facts(pair, found), *chosen.described()]
    logins = add_logins(pair, chosen.user_id, chosen.username)
    with serving(pair, logins, log=plan.result("log")) as service:
        stage = _stage(plan, pair, service, chosen)
        _read_all(outcome, stage)
        outcome.add(partial(batch_writes, stage))
        outcome.add(partial(single_writes, stage))
        outcome.add(partial(sizes, plan, found.sizes))
        outcome.add(partial(purge, stage))
        outcome.add(partial(memories, stage))


def _read_all(outcome: Outcome, stage: Stage) -> None:
    asked = operations(stage.chosen)
    with progress("Reading", len(asked)) as advance, closing(stage.pair.yardstick()) as yardstick:
        for operation in asked:
            outcome.add(partial(read, stage, yardstick, operation))
            advance(1)


def _stage(plan: Plan, pair: Pair, service: Service, chosen: Choices) -> Stage:
    # Enough for the side that takes more; neither is made before it is taken.
    count = len(CONNECTIONS) * plan.effort.batches * BATCH + 2 * plan.effort.singles + BATCH
    yardstick, ours = (following(count, end=chosen.end) for _ in range(2))
    return Stage(plan, pair, service, chosen, yardstick, ours)


def _facts(pair: Pair, found: Loaded) -> Iterator[str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} processors, {memory:.0f} GiB"
    yield f"{pair.version()}, Python {platform.python_version()}, {machine}"
    yield f"loading: {found.yardstick_rate:,.0f} rows/s into the yardstick, {found.our_rate:,.0f} into ours"

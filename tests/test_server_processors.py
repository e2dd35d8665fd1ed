"""Each worker keeps to a processor of its own, where there are no more of them than workers."""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from logservice import server_processors
from logservice.server_processors import post_fork, pre_fork
from tests.processes import children, eventually, on_processors
from tests.serving import Service, serving

LOG = logging.getLogger("a log that others leave alone")


class Master:
    """A master with so many workers, each of the configuration that the master had when it began."""

    def __init__(self, workers: int) -> None:
        self.num_workers = workers
        self.cfg = object()
        self.log = LOG
        self.WORKERS: dict[int, Any] = {}

    def begin(self, process: int) -> int | None:
        worker = SimpleNamespace(cfg=self.cfg)
        pre_fork(self, worker)
        self.WORKERS[process] = worker
        chosen: int | None = worker.processor
        return chosen


@pytest.fixture(autouse=True)
def _processors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "two" not in request.fixturenames:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {2, 5, 7}, raising=False)
        monkeypatch.setattr(server_processors, "_CAN_CHOOSE", True)


def test_workers_are_spread_over_the_processors_that_are_allowed() -> None:
    master = Master(6)

    assert {master.begin(process) for process in range(3)} == {2, 5, 7}
    assert {master.begin(process) for process in range(3, 6)} == {2, 5, 7}


def test_a_worker_takes_the_place_of_one_that_has_ended() -> None:
    master = Master(3)
    found = [master.begin(process) for process in range(3)]

    for process in (1, 0, 1):
        del master.WORKERS[process]
        assert master.begin(process) == found[process]


def test_after_a_reload_workers_are_spread_as_before() -> None:
    for _ in range(20):
        master = Master(4)
        for process in range(4):
            master.begin(process)
        master.cfg = object()
        anew = Counter(master.begin(process) for process in range(4, 8))

        assert sorted(anew.values()) == [1, 1, 2]


def test_services_on_one_machine_do_not_choose_alike() -> None:
    # By chance all hundred of them would, once in 10**47 runs.
    assert len({Master(3).begin(0) for _ in range(100)}) > 1


def test_with_more_processors_than_workers_the_system_chooses() -> None:
    assert Master(2).begin(0) is None


def test_a_processor_that_is_refused_is_told_and_no_harm(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)
    worker = SimpleNamespace(processor=5, log=LOG)
    post_fork(None, worker)

    # Its requests take no turns, as they do on one processor.
    assert worker.processor is None
    assert "the worker runs on any processor: [Errno 1] Operation not permitted" in caplog.text


def test_processors_that_nobody_may_ask_for_are_told_and_no_harm(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", refuse, raising=False)

    assert Master(3).begin(0) is None
    assert "workers run on any processor: [Errno 1] Operation not permitted" in caplog.text


def refuse(*_given: Any) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_where_the_system_cannot_choose_nothing_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_processors, "_CAN_CHOOSE", False)

    assert Master(3).begin(0) is None


def test_a_worker_for_which_somebody_else_chose_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)

    post_fork(None, SimpleNamespace(log=None))
    post_fork(None, SimpleNamespace(processor=None, log=None))


@pytest.fixture
def two() -> Iterator[set[int]]:
    """Two processors, which are all that what is started here may use; one where there is but one."""
    # There the service leaves all to the system too, which the tests above show.
    with on_processors(2) as found:
        if found is None:
            pytest.skip("this system has no sched_setaffinity, and nothing is chosen there")
        yield found


def processors(service: Service) -> list[set[int]]:
    """Return the processors of all threads of each worker, once it has answered."""
    for _ in range(20):
        service.get("/api/log/stat")
    return [_of_all_threads(worker) for worker in children(service.process.pid)]


def _of_all_threads(process: int) -> set[int]:
    found: set[int] = set()
    for thread in map(int, os.listdir(f"/proc/{process}/task")):
        with suppress(ProcessLookupError):
            found |= os.sched_getaffinity(thread)
    return found


def test_all_threads_of_a_worker_run_on_one_processor_and_each_worker_on_its_own(
    tmp_path: Path, two: set[int]
) -> None:
    def are_spread() -> bool:
        found = processors(service)
        return [len(one) for one in found] == [1, 1] and set().union(*found) == two

    with serving(tmp_path, workers=2) as service:
        assert are_spread()

        first, _ = children(service.process.pid)
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: len(set(children(service.process.pid)) - {first}) == 2)
        assert eventually(are_spread)


@pytest.mark.parametrize(
    ("affinity", "are_in_turn"),
    [("1", True), ("0", False)],
    ids=["on one processor", "on any processor"],
)
def test_requests_compute_in_turn_on_one_processor_where_the_database_computes_too(
    tmp_path: Path, two: set[int], db_url: str, engine_name: str, affinity: str, are_in_turn: bool
) -> None:
    environ = {"LOGSERVICE_CPU_AFFINITY": affinity}
    with serving(
        tmp_path, workers=2, environ=environ, url=db_url, app="tests.telling:create_app()"
    ) as service:
        found = [service.get("/turn")["takes_turns"] for _ in range(5)]
    assert found == [are_in_turn and engine_name == "sqlite"] * 5


def test_workers_run_anywhere_if_they_are_told_to(tmp_path: Path, two: set[int]) -> None:
    with serving(tmp_path, workers=2, environ={"LOGSERVICE_CPU_AFFINITY": "0"}) as service:
        assert processors(service) == [two, two]

"""Each worker keeps to a processor of its own, as far as there are so many."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from logservice import server_processors
from logservice.server_processors import post_fork, pre_fork
from tests.processes import children, eventually
from tests.serving import Service, serving

ALLOWED = os.sched_getaffinity(0)


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A master that may use processors 2, 5 and 7."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {2, 5, 7})
    return SimpleNamespace(WORKERS={})


def begin(master: SimpleNamespace, process: int) -> int:
    worker = SimpleNamespace()
    pre_fork(master, worker)
    master.WORKERS[process] = worker
    chosen: int = worker.processor
    return chosen


def test_workers_are_spread_over_the_processors_that_are_allowed(master: SimpleNamespace) -> None:
    assert {begin(master, process) for process in range(3)} == {2, 5, 7}
    assert {begin(master, process) for process in range(3, 6)} == {2, 5, 7}


def test_a_worker_takes_the_place_of_one_that_has_ended(master: SimpleNamespace) -> None:
    found = [begin(master, process) for process in range(3)]
    for process in (1, 0, 1):
        del master.WORKERS[process]
        assert begin(master, process) == found[process]


def test_services_on_one_machine_do_not_choose_alike(master: SimpleNamespace) -> None:
    def first() -> int:
        master.WORKERS.clear()
        return begin(master, 0)

    # By chance all hundred of them would, once in 10**47 runs.
    assert len({first() for _ in range(100)}) > 1


def test_a_processor_that_is_refused_is_told_and_no_harm(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_process: int, _processors: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    post_fork(None, SimpleNamespace(processor=5, log=logging.getLogger("gunicorn.error")))

    assert "the worker runs on any processor: [Errno 1] Operation not permitted" in caplog.text


def test_where_the_system_cannot_choose_nothing_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_processors, "_CAN_CHOOSE", False)
    worker = SimpleNamespace()
    pre_fork(SimpleNamespace(WORKERS={}), worker)
    post_fork(None, worker)

    assert worker == SimpleNamespace()


def processors(service: Service) -> list[set[int]]:
    """Return the processors of all threads of each worker, once it has answered."""
    for _ in range(20):
        service.get("/api/log/stat")
    return [_of_all_threads(worker) for worker in children(service.process.pid)]


def _of_all_threads(process: int) -> set[int]:
    threads = map(int, os.listdir(f"/proc/{process}/task"))
    return set().union(*(os.sched_getaffinity(thread) for thread in threads))


def test_all_threads_of_a_worker_run_on_one_processor_and_each_worker_on_its_own(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as service:
        found = processors(service)
        assert [len(one) for one in found] == [1, 1]
        assert len(set().union(*found)) == min(2, len(ALLOWED))

        first, _ = children(service.process.pid)
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: len(set(children(service.process.pid)) - {first}) == 2)
        assert eventually(lambda: sorted(map(list, processors(service))) == sorted(map(list, found)))


def test_workers_run_anywhere_if_they_are_told_to(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2, environ={"LOGSERVICE_CPU_AFFINITY": "0"}) as service:
        assert processors(service) == [ALLOWED, ALLOWED]

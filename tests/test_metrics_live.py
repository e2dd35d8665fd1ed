"""Figures of several worker processes: whichever is asked tells the sums of all, and of those that ended."""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from logservice import metric_files
from tests.serving import Service, send, serving

#: A service that is killed as soon as it has a folder in the one that is given.
KILLED = """
import os, sys
from logservice import metric_files
metric_files._MEMORY = sys.argv[1]
metric_files.on_starting(None)
os.kill(os.getpid(), 9)
"""
TOKEN = {"Authorization": "Bearer the-token-of-prometheus"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    environ = {
        "LOGSERVICE_METRICS_TOKEN": "the-token-of-prometheus",
        metric_files.FOLDER: str(tmp_path / "figures"),
    }
    (tmp_path / "figures").mkdir()
    # Left by an earlier run, in a form that would spoil every scrape.
    (tmp_path / "figures" / "counter_1.db").write_bytes(b"\xff" * 100)
    with serving(tmp_path, workers=2, environ=environ) as found:
        yield found


def scrape(service: Service) -> dict[str, float]:
    connection = service.open()
    try:
        connection.request("GET", "/metrics", headers=TOKEN)
        response = connection.getresponse()
        assert response.status == 200
        lines = response.read().decode().splitlines()
    finally:
        connection.close()
    return {name: float(number) for name, number in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def post(service: Service, *, times: int) -> None:
    for _ in range(times):
        connection = service.open()
        status, _ = send(connection, "POST", "/api/log/", user="gateway", body=[{}, {"bogus": 1}])
        connection.close()
        assert status == 200


def workers(service: Service) -> set[int]:
    """Return the processes that have counted anything."""
    files = (service.folder / "figures").glob("counter_*.db")
    return {int(re.findall(r"\d+", file.name)[0]) for file in files}


def test_every_worker_tells_the_sums_of_all_and_none_is_lost_with_a_worker(service: Service) -> None:
    posted = 0
    while len(workers(service)) < 2 and posted < 2000:
        post(service, times=20)
        posted += 20
    assert len(workers(service)) == 2
    # Connections go to either worker, and both say the same.
    told = Counter(scrape(service)["logservice_events_ingested_total"] for _ in range(10))
    assert told == {posted: 10}
    samples = scrape(service)
    assert samples["logservice_events_refused_total"] == posted
    assert samples["logservice_commit_size_sum"] == posted
    assert samples["logservice_rows"] == posted

    os.kill(min(workers(service)), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while "was sent SIGKILL" not in service.printed():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    post(service, times=5)
    assert scrape(service)["logservice_events_ingested_total"] == posted + 5


@pytest.mark.parametrize("together", [False, True], ids=["no folder", "a folder"])
def test_an_application_that_was_loaded_before_the_workers_counts(tmp_path: Path, *, together: bool) -> None:
    """Alone a worker tells its own share, and a warning says so."""
    environ = {"LOGSERVICE_METRICS_TOKEN": "the-token-of-prometheus", "GUNICORN_CMD_ARGS": "--preload"}
    if together:
        (tmp_path / "figures").mkdir()
        environ[metric_files.FOLDER] = str(tmp_path / "figures")
    with serving(tmp_path, workers=1, environ=environ) as service:
        post(service, times=3)
        assert scrape(service)["logservice_events_ingested_total"] == 3
        assert ("not all: the application was loaded before" in service.printed()) != together
        assert bool(workers(service)) == together


def test_no_folder_is_made_where_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(metric_files.FOLDER, "")
    monkeypatch.setenv("LOGSERVICE_METRICS", "off")
    metric_files.on_starting(None)
    assert os.environ[metric_files.FOLDER] == ""


def test_a_folder_of_its_own_is_in_memory_and_goes_with_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(metric_files.FOLDER, "")
    # As in gunicorn, which loads the application in its workers.
    monkeypatch.delitem(sys.modules, "prometheus_client", raising=False)
    metric_files.on_starting(None)
    first = Path(os.environ[metric_files.FOLDER])
    assert list(first.iterdir()) == []
    # A gunicorn that takes the place of another inherits its environment, and must leave its folder alone.
    metric_files.on_starting(None)
    second = Path(os.environ[metric_files.FOLDER])
    metric_files.on_exit(None)
    assert first.exists()
    assert not second.exists()
    first.rmdir()


def test_folders_of_services_that_were_killed_go_at_the_next_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(metric_files, "_MEMORY", str(tmp_path))
    monkeypatch.delitem(sys.modules, "prometheus_client", raising=False)
    environ = {**os.environ, metric_files.FOLDER: "", "LOGSERVICE_METRICS": "1"}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environ, check=False)
    assert killed.returncode == -9
    [left] = tmp_path.iterdir()
    (left / "counter_7.db").touch()
    (tmp_path / "somebody-s").mkdir()
    found = []
    for _ in range(2):
        monkeypatch.setenv(metric_files.FOLDER, "")
        metric_files.on_starting(None)
        found.append(Path(os.environ[metric_files.FOLDER]).name)
    # That of the first one, which is there still, stays.
    assert {path.name for path in tmp_path.iterdir()} == {*found, "somebody-s"}


def test_a_given_folder_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(metric_files.FOLDER, str(tmp_path))
    (tmp_path / "histogram_7.db").touch()
    (tmp_path / "gauge_livesum_7.db").touch()
    (tmp_path / "somebody-s.txt").touch()
    (tmp_path / "logservice.db").touch()
    metric_files.on_starting(None)
    metric_files.on_exit(None)
    assert {path.name for path in tmp_path.iterdir()} == {"logservice.db", "somebody-s.txt"}


def test_gunicorn_s_hooks_are_there_whichever_way_it_is_started() -> None:
    settings = runpy.run_path(str(Path(metric_files.__file__).parent.parent / "gunicorn.conf.py"))
    for name in ("on_starting", "on_exit"):
        assert settings[name] is getattr(metric_files, name)

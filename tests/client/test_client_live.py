"""The client and a real service: what is lost and what is counted twice when things go wrong. Nothing is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logservice.client import Client, Counts, Limits
from tests.client.unreliable import unreliable
from tests.processes import free_port
from tests.serving import TOKENS, Service, serving, serving_again

TOKEN = TOKENS["gateway"]
#: How long the service stays away in a test.
AWAY = float(os.environ.get("LOGSERVICE_TEST_AWAY_SECONDS", "3"))
QUICK = Limits(gather=0.05, first_pause=0.05, longest_pause=0.5)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service for all tests that leave it running; each looks at events of a model of its own."""
    with serving(tmp_path_factory.mktemp("service"), workers=1) as found:
        yield found


def stored(service: Service, model: str) -> list[dict[str, Any]]:
    """Return the rows of a model, newest first."""
    rows: list[dict[str, Any]] = []
    while True:
        before = rows[-1]["id"] if rows else 2**53
        found = service.get(f"/api/log/?model_name={model}&page_size=100&before={before}")["items"]
        if not found:
            return rows
        rows += found


def assert_each_once(service: Service, model: str, number: int) -> None:
    """Check that the events r0 to r(number - 1) of a model are there, none of them twice."""
    assert sorted(row["request_id"] for row in stored(service, model)) == sorted(
        f"r{n}" for n in range(number)
    )


def record_for(client: Client, seconds: float, *, model: str) -> int:
    """Record events without a pause to speak of for so long, and return their number."""
    until, number = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        assert client.record(model_name=model, request_id=f"r{number}", quota=1)
        number += 1
        time.sleep(0.002)
    return number


def run(code: str, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, with warnings as errors."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


# -- the service -------------------------------------------------------------------------------------------


def test_what_a_client_records_reads_like_what_is_posted(service: Service) -> None:
    with Client(service.url, TOKEN) as client:
        client.record(
            model_name="plain", username="alice", quota=7, content="两行\n", other={"note": [1, None]}
        )
    [row] = stored(service, "plain")
    assert (row["username"], row["quota"], row["content"]) == ("alice", 7, "两行\n")
    assert row["other"] == '{"note":[1,null]}'
    assert abs(row["created_at"] - time.time()) < 60


def test_the_service_names_what_it_refuses(service: Service) -> None:
    refused: list[tuple[Any, str]] = []
    with Client(service.url, TOKEN, on_refused=lambda *args: refused.append(args)) as client:
        for quota in (1, "much", 2, None, 10**13):
            client.record(model_name="refusing", quota=quota)
        assert client.flush()
        client.record(colour="red")
        client.record(content="x" * (65 * 1024))
    assert [event.get("quota") for event, _ in refused] == ["much", 10**13, None, None]
    assert all("quota" in message for _, message in refused[:2])
    assert "colour" in refused[2][1]
    assert client.counts == Counts(recorded=7, stored=3, refused=4)
    assert len(stored(service, "refusing")) == 3


def test_a_stopped_service_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1) as service:
        client = Client(service.url, TOKEN, limits=QUICK)
        client.record(model_name="before")
        assert client.flush()
    number = record_for(client, AWAY, model="away")
    first = time.time()
    assert client.counts == Counts(recorded=number + 1, stored=1, waiting=number)
    with serving_again(service):
        assert client.flush(30)
        assert_each_once(service, "away", number)
        assert all(row["created_at"] <= first for row in stored(service, "away"))
        assert client.close()
    assert client.counts == Counts(recorded=number + 1, stored=number + 1)


@pytest.mark.parametrize("mood", ["lose", "hang", "503"])
def test_a_service_in_a_bad_mood_loses_nothing_and_counts_nothing_twice(service: Service, mood: str) -> None:
    """Answers are lost after the real commit, or the service hangs, or refuses; in the end all is well."""
    with unreliable(service.port) as (state, url):
        limits = Limits(gather=0.05, first_pause=0.05, longest_pause=0.5, read_timeout=0.5, batch_events=50)
        with Client(url, TOKEN, limits=limits) as client:
            state.mood = (503, b"", {"Retry-After": "1"}) if mood == "503" else mood
            number = record_for(client, AWAY, model=mood)
            assert len(state.requests) > 1
            assert client.counts.stored == 0
            state.mood = "good"
            assert client.flush(30)
        assert_each_once(service, mood, number)
        assert client.counts == Counts(recorded=number, stored=number)
        if mood == "lose":
            assert len(set(state.keys)) < len(state.keys)


def test_a_wrong_token_keeps_the_events_until_it_is_made_good(service: Service) -> None:
    with Client(service.url, "not-yet-issued-token", limits=QUICK) as client:
        client.record(model_name="unauthorised")
        assert not client.flush(1)
        assert client.counts == Counts(recorded=1, waiting=1)
        client.close(0)
    assert stored(service, "unauthorised") == []


def test_a_batch_above_the_services_own_limit_arrives_in_parts(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1, environ={"LOGSERVICE_MAX_BODY": "2000"}) as service:
        with Client(service.url, TOKEN) as client:
            for number in range(40):
                client.record(model_name="parts", request_id=f"r{number}", content="x" * 100)
            client.record(model_name="parts", content="x" * 3000)
        assert_each_once(service, "parts", 40)
    assert client.counts == Counts(recorded=41, stored=40, refused=1)


def test_the_documented_program_works(service: Service) -> None:
    page = (Path(__file__).parents[2] / "docs" / "producers.md").read_text()
    [code] = [block for block in page.split("```python\n") if block.startswith("from logservice.client")]
    code = code.partition("```")[0].replace("http://127.0.0.1:8000", service.url)
    done = run(code.replace("the writer's access token", TOKEN))
    assert (done.returncode, done.stderr) == (0, "")
    rows = service.get("/api/log/?username=alice&page_size=2")["items"]
    assert [(row["type"], row["content"]) for row in rows] == [(4, "the provider timed out"), (2, "")]


# -- the process -------------------------------------------------------------------------------------------

RECORD = """
import sys
from logservice.client import Client, Limits
client = Client(sys.argv[1], sys.argv[2], limits=Limits(gather=60, at_exit=float(sys.argv[4])))
for number in range(1000):
    client.record(model_name=sys.argv[3], request_id=f"r{number}")
"""


def test_the_end_of_the_program_delivers_what_is_left(service: Service) -> None:
    done = run(RECORD, service.url, TOKEN, "leaving", "20")
    assert (done.returncode, done.stderr) == (0, "")
    assert_each_once(service, "leaving", 1000)


def test_an_exception_delivers_what_is_left(service: Service) -> None:
    done = run(f"{RECORD}\nraise SystemExit(3)", service.url, TOKEN, "failing", "20")
    assert (done.returncode, done.stderr) == (3, "")
    assert_each_once(service, "failing", 1000)


@pytest.mark.parametrize("mood", ["hang", "nobody"])
def test_the_end_of_the_program_waits_only_so_long(mood: str) -> None:
    with unreliable() as (state, url), socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        state.mood = "hang"
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        started = time.monotonic()
        done = run(RECORD, url if mood == "hang" else nobody, TOKEN, "lost", "0.5")
        assert time.monotonic() - started < 20
    assert done.returncode == 0
    assert "1000 events were not delivered" in done.stderr
    assert TOKEN not in done.stderr


FORK = """
import os, sys
from logservice.client import Client, Counts, Limits
client = Client(sys.argv[1], sys.argv[2], limits=Limits(gather=60))
client.record(model_name="fork", request_id="r0")
client.flush()                                       # the thread runs, a connection is open
client.record(model_name="fork", request_id="r1")    # waits in the parent
child = os.fork()
if not child:
    assert client.counts == Counts(), client.counts
    client.record(model_name="fork", request_id="r2")
    assert client.flush(), client.counts
    client.record(model_name="fork", request_id="r3")
    sys.exit()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
client.record(model_name="fork", request_id="r4")
assert client.close()
assert client.counts == Counts(recorded=3, stored=3), client.counts
"""


def test_a_child_delivers_its_own_events_and_its_parent_the_others(service: Service) -> None:
    done = run(FORK, service.url, TOKEN)
    assert (done.returncode, done.stderr) == (0, "")
    assert_each_once(service, "fork", 5)


FORK_UNDER_LOAD = """
import os, sys, threading
from logservice.client import Client, Limits
client = Client(sys.argv[1], sys.argv[2], limits=Limits(gather=0.001, batch_events=5))
def record(first, number):
    for place in range(first, first + number):
        client.record(model_name="load", request_id=f"r{place}")
threads = [threading.Thread(target=record, args=(1000 * n, 1000)) for n in range(4)]
for thread in threads:
    thread.start()
children = []
for turn in range(20):
    child = os.fork()
    if not child:
        record(4000 + 10 * turn, 10)
        os._exit(not client.close(20))
    children.append(child)
for thread in threads:
    thread.join()
assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 20
assert client.close(20)
"""


def test_forks_while_other_threads_record_and_deliver_lock_nobody_out(service: Service) -> None:
    done = run(FORK_UNDER_LOAD, service.url, TOKEN)
    assert (done.returncode, done.stderr) == (0, "")
    assert_each_once(service, "load", 4200)


IMPORTS = """
import sys
from logservice.client import Client
client = Client(sys.argv[1], sys.argv[2])
before = set(sys.modules)
client.record(model_name="imports", request_id="r0")
assert client.flush(), client.counts
assert set(sys.modules) == before, set(sys.modules) - before
"""


def test_a_delivery_imports_nothing(service: Service) -> None:
    """A child forked in the middle of an import by another thread would wait for its end for ever."""
    done = run(IMPORTS, service.url, TOKEN)
    assert (done.returncode, done.stderr) == (0, "")


PREFORK = """
import itertools, os
from logservice.client import Client, Limits
client = Client(os.environ["LOG_URL"], os.environ["LOG_TOKEN"], limits=Limits(gather=60))
client.record(model_name="prefork", request_id="master")
numbers = itertools.count()
def app(environ, start_response):
    client.record(model_name="prefork", request_id=f"{os.getpid()}-{next(numbers)}")
    start_response("204 No Content", [])
    return []
"""


def test_workers_of_gunicorn_deliver_their_own_events_when_they_stop(
    service: Service, tmp_path: Path
) -> None:
    """The client is made in the master, before the workers are forked, and nothing is flushed by hand."""
    (tmp_path / "gateway.py").write_text(PREFORK)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--bind", f"127.0.0.1:{port}"]
    gateway = subprocess.Popen(
        [*command, "--log-level", "error", "gateway:app"],
        cwd=tmp_path,
        env={**os.environ, "LOG_URL": service.url, "LOG_TOKEN": TOKEN, "PYTHONPATH": str(Path.cwd())},
    )
    try:
        for _ in range(40):
            call(f"http://127.0.0.1:{port}/")
    finally:
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(timeout=40) == 0
    found = [row["request_id"] for row in stored(service, "prefork")]
    assert len(found) == len(set(found)) == 41
    assert "master" in found


def call(url: str) -> None:
    """Call a server that may just be starting."""
    until = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(url, timeout=20).close()
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.1)
        else:
            return


def test_a_program_that_uses_the_client_loads_neither_flask_nor_sql() -> None:
    code = "import logservice.client, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = run(code)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split()) - set(sys.stdlib_module_names)
    assert "logservice" in loaded
    assert not {"flask", "sqlalchemy", "werkzeug", "msgspec", "orjson", "marshmallow", "click"} & loaded

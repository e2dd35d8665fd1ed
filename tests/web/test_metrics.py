"""`GET /metrics`: what is counted, the state of the log, and who may see it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from logservice import LogService, Principal
from logservice.server_threads import waited_to_begin
from logservice.store.log_types import NAMES
from logservice.store.retention import Purge
from logservice.store.store import LogStore
from logservice.web.metrics import Metrics
from tests.answers import assert_error, assert_ok
from tests.forking import Child
from tests.rows import ALICE, GATEWAY, NOW, ROOT, Headers, bearer, make_event, post
from tests.stores import rename

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "metrics.md"
SCRAPER = bearer("the-token-of-prometheus")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(client: FlaskClient, headers: Headers = ROOT, path: str = "/metrics") -> Samples:
    """Return every figure by name and labels."""
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"logservice_{name}", frozenset(labels.items())))


# -- who may see it ----------------------------------------------------------------------------------------


def test_a_token_of_its_own_opens_it_and_nothing_else(client_with: Any) -> None:
    client = client_with(METRICS_TOKEN="the-token-of-prometheus")
    assert value(scrape(client, SCRAPER), "database_up") == 1
    assert value(scrape(client, ROOT), "database_up") == 1
    assert_error(client.get("/metrics", headers=bearer("the-token-of-prometheuS")), 401, "")
    assert_error(client.get("/api/log/", headers=SCRAPER), 401, "")


def test_an_empty_token_opens_nothing(client_with: Any) -> None:
    client = client_with(METRICS_TOKEN="")
    assert_error(client.get("/metrics", headers={"Authorization": "Bearer "}), 401, "")


def test_switched_off_it_is_not_there(client_with: Any) -> None:
    client = client_with(METRICS="off")
    post(client, make_event())
    assert_error(client.get("/metrics", headers=ROOT), 404, "")


def test_its_token_is_enough_while_the_database_is_away(client_with: Any, store: LogStore) -> None:
    client = client_with(METRICS_TOKEN="the-token-of-prometheus")
    post(client, make_event())
    rename(store, "log_records", "away")
    samples = scrape(client, SCRAPER)
    assert value(samples, "database_up") == 0
    assert value(samples, "rows") is None


# -- what is counted ---------------------------------------------------------------------------------------


def test_requests_are_counted_by_route_method_and_status(client: FlaskClient) -> None:
    for path in ("/api/log/self", "/api/log/self/", "/api/log/self?p=2"):
        client.get(path, headers=ALICE)
    client.get("/api/log/self")
    samples = scrape(client)
    by_status = [
        value(samples, "http_requests_total", route="/api/log/self", method="GET", status=status)
        for status in ("200", "401")
    ]
    assert by_status == [3, 1]
    count = "http_request_duration_seconds_count"
    assert value(samples, count, route="/api/log/self", method="GET") == 4


def test_strangers_cannot_make_up_series(client: FlaskClient) -> None:
    scrape(client)
    client.get("/nowhere")
    client.open("/api/log/", method="BREW")
    before = scrape(client).keys()
    for number in range(5):
        assert client.get(f"/nowhere/{number}").status_code == 404
        assert client.open("/api/log/", method=f"BREW{number}").status_code == 405
    samples = scrape(client)
    assert samples.keys() == before
    assert value(samples, "http_requests_total", route="none", method="GET", status="404") == 6
    assert value(samples, "http_requests_total", route="none", method="none", status="405") == 6


def test_an_export_is_counted_when_it_has_ended(client: FlaskClient) -> None:
    post(client, make_event())
    count = {"route": "/api/log/export", "method": "GET"}
    answer = client.get("/api/log/export", headers=ROOT, buffered=False)
    assert value(scrape(client), "http_request_duration_seconds_count", **count) is None
    assert answer.data
    answer.close()
    assert value(scrape(client), "http_request_duration_seconds_count", **count) == 1


def test_the_duration_of_a_request_begins_when_it_came(client: FlaskClient) -> None:
    token = waited_to_begin.set(1.5)
    try:
        client.get("/api/log/stat", headers=ROOT)
    finally:
        waited_to_begin.reset(token)
    labels = {"route": "/api/log/stat", "method": "GET"}
    assert value(scrape(client), "http_request_duration_seconds_sum", **labels) > 1.5


def test_events_are_counted_once_they_are_stored_or_refused(app: Flask, client: FlaskClient) -> None:
    key = {**GATEWAY, "Idempotency-Key": "once"}
    for _ in range(2):
        assert_ok(client.post("/api/log/", json=[make_event()] * 3 + [{"bogus": 1}], headers=key))
    assert_error(client.post("/api/log/", json=[{"bogus": 1}] * 2, headers=GATEWAY), 400, "")
    with app.app_context():
        LogService().record_many([make_event(), {"bogus": 1}])
    samples = scrape(client)
    assert value(samples, "events_ingested_total") == 4
    # What is refused is refused each time it comes.
    assert value(samples, "events_refused_total") == 1 + 1 + 2 + 1


def test_commits_of_the_writing_thread_are_counted(client: FlaskClient, store: LogStore) -> None:
    store.close()
    before = scrape(client)
    for _ in range(3):
        post(client, make_event())
    # It counts when those who waited have been let go: it is done when it has ended.
    store.close()
    samples = scrape(client)
    for name in ("commit_size_sum", "commit_duration_seconds_count", "write_wait_seconds_count"):
        assert (value(samples, name) or 0) - (value(before, name) or 0) == 3


# -- the state of the log ----------------------------------------------------------------------------------


def test_it_tells_the_state_of_the_log(client: FlaskClient, store: LogStore) -> None:
    oldest = "oldest_row_timestamp_seconds"
    assert not [name for name, _ in scrape(client) if oldest in name]
    post(
        client,
        *(make_event(created_at=NOW - age) for age in (9000, 0)),
        make_event(type="error", created_at=NOW),
    )
    samples = scrape(client)
    assert value(samples, "rows") == 3
    assert [value(samples, oldest, type=kind) for kind in ("consume", "error")] == [NOW - 9000, NOW]
    assert value(samples, oldest, type="login") is None
    assert value(samples, "database_size_bytes") == store.space().database


def test_it_tells_how_far_a_purge_is(client: FlaskClient, store: LogStore) -> None:
    def progress() -> list[float | None]:
        samples = scrape(client)
        return [value(samples, f"purge_{name}") for name in ("running", "deleted_rows", "remaining_rows")]

    post(client, *[make_event(created_at=NOW - 9000)] * 5)
    assert progress() == [0, 0, 0]
    purge = store.purge(Purge(NOW - 8999), batch=3)
    gone = next(purge)
    assert progress() == [1, gone, 5 - gone]
    assert gone + sum(purge) == 5
    assert progress() == [0, 0, 0]


# -- in a host, and on paper -------------------------------------------------------------------------------


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Flask]]:
    """Two applications in one process, each with a log, and one of them with figures."""
    made = []
    for name, path in (("counting", "/usage/metrics"), ("plain", None)):
        app = Flask(name, instance_path=str(tmp_path / name))
        LogService(app, authenticate=lambda _: Principal(1, "root", "admin"), metrics=path)
        made.append(app)
    yield made
    for app in made:
        app.extensions["logservice"].store.close()


def test_a_host_has_them_where_it_says_so_and_of_its_own_log_alone(hosts: list[Flask]) -> None:
    for app in hosts:
        with app.app_context():
            LogService().record(model_name="gpt-4o")
    counting, plain = (app.test_client() for app in hosts)
    assert value(scrape(counting, {}, "/usage/metrics"), "events_ingested_total") == 1
    assert plain.get("/usage/metrics").status_code == 404
    assert hosts[1].extensions["logservice"].metrics is None


def test_a_host_without_figures_does_not_even_load_the_library() -> None:
    """Importing it decides for the whole process how it counts, and a host may want to decide that itself."""
    script = (
        "import sys\nfrom flask import Flask\nfrom logservice import LogService\n"
        "LogService(Flask('host'))\nassert 'prometheus_client' not in sys.modules\n"
        "LogService(Flask('counting'), metrics='/figures')\nassert 'prometheus_client' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


#: A host with a figure of its own, which prometheus_client may keep in files, that shows those of its log.
SHARING = """
import sys
from flask import Flask
from prometheus_client import Counter
from logservice import LogService, Principal

Counter("shop_orders", "Of the host.", ("customer",)).labels("alice@example.org").inc()
app = Flask("host", instance_path=sys.argv[1])
LogService(app, authenticate=lambda _: Principal(1, "root", "admin"), metrics="/figures")
with app.app_context():
    LogService().record(model_name="gpt-4o")
print(app.test_client().get("/figures").text)
"""


@pytest.mark.parametrize("shared", [False, True], ids=["in the process", "in files"])
def test_a_host_s_own_figures_are_not_among_them(tmp_path: Path, *, shared: bool) -> None:
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if shared else dict(os.environ)
    command = [sys.executable, "-c", SHARING, str(tmp_path / "instance")]
    told = subprocess.run(command, env=environ, check=True, timeout=60, stdout=subprocess.PIPE, text=True)
    assert bool(list(tmp_path.glob("counter_*.db"))) == shared
    samples = [line for line in told.stdout.splitlines() if line and not line.startswith("#")]
    assert "logservice_events_ingested_total 1.0" in samples
    assert "logservice_rows 1.0" in samples
    assert {line.partition("_")[0] for line in samples} == {"logservice"}


class Held(float):
    """A figure that takes its time to be added, while another thread waits to fork the process."""

    inside: threading.Event

    def __new__(cls, inside: threading.Event) -> Held:
        found = super().__new__(cls, 1)
        found.inside = inside
        return found

    def __radd__(self, other: float) -> float:
        self.inside.set()
        threading.Event().wait(0.3)
        return other + 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_forked_while_its_parent_counts_can_count_as_well() -> None:
    metrics, inside = Metrics(), threading.Event()
    counting = threading.Thread(target=metrics.stored, args=(Held(inside),))
    counting.start()
    assert inside.wait(5)
    child = Child(lambda: metrics.stored(1))
    assert child.do()
    child.end()
    counting.join(5)


def test_every_metric_is_documented_and_every_documented_one_is_there(client: FlaskClient) -> None:
    post(client, make_event())
    answer = client.get("/metrics", headers=ROOT).text
    there = dict(re.findall(r"^# TYPE (logservice_\w+) (\w+)$", answer, re.MULTILINE))
    there = {name: kind for name, kind in there.items() if not name.endswith("_created")}
    documented = dict(re.findall(r"^\| `(logservice_\w+)` \| (\w+) \|", DOCUMENT.read_text(), re.MULTILINE))
    only_of_files = {"logservice_database_wal_size_bytes", "logservice_filesystem_free_bytes"}
    assert there.items() <= documented.items()
    assert documented.keys() - there.keys() <= only_of_files


def test_alerts_ask_for_documented_metrics_and_known_types() -> None:
    document = DOCUMENT.read_text()
    [alerts] = re.findall(r"```yaml\n(groups:.+?)```", document, re.DOTALL)
    documented = set(re.findall(r"^\| `(logservice_\w+)` ", document, re.MULTILINE))
    assert {name.removesuffix("_bucket") for name in re.findall(r"logservice_\w+", alerts)} <= documented
    assert set(re.findall(r'{type="(\w+)"}', alerts)) == {"consume", "error"} <= set(NAMES.values())

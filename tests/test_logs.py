"""The Python door: the same events, the same rule, without a request."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

import logservice
from logservice import LogService, current_logs
from logservice.errors import InvalidValue, Unavailable
from logservice.logs import Recorded
from logservice.store.log_types import LogType
from logservice.store.sorting import Rejected
from logservice.store.store import LogStore
from logservice.web.bodies import MOST_EVENTS
from tests.answers import assert_ok
from tests.rows import GATEWAY, NOW, ROOT, contents, make_event, only_row

BAD = {"content": "kept out", "quota": "much"}


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    """Be inside the application of the test."""
    with app.app_context():
        yield


def rows(client: FlaskClient) -> list[dict[str, Any]]:
    """Return all rows, newest first."""
    items: list[dict[str, Any]] = assert_ok(client.get("/api/log/", headers=ROOT))["items"]
    return items


@pytest.mark.usefixtures("context")
def test_what_is_recorded_reads_like_what_is_posted(client: FlaskClient) -> None:
    event = make_event(other={"note": "the same"}, use_time=1.5)
    LogService().record(event)
    assert_ok(client.post("/api/log/", json=event, headers=GATEWAY))
    posted, recorded = rows(client)
    assert {**posted, "id": 0} == {**recorded, "id": 0}


@pytest.mark.usefixtures("context")
def test_keywords_say_the_same_as_a_mapping_and_count_before_it(client: FlaskClient) -> None:
    current_logs().record({"username": "alice", "quota": 5}, quota=7, type=LogType.ERROR)
    row = only_row(client)
    assert (row["username"], row["quota"], row["type"], row["created_at"]) == ("alice", 7, 4, NOW)


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"quota": "much"}, "quota: "),
        ({"colour": "red"}, "colour"),
        ({"created_at": NOW * 1000}, "created_at: .*milliseconds"),
        ({"other": {"set": {1, 2}}}, "other: "),
        ({1: 2}, "the name of a field: expected a text"),
        ("text", "the event is no object"),
        (7, "the event is no object"),
    ],
)
def test_a_bad_event_is_refused_by_field_and_reason(store: LogStore, event: Any, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        current_logs().record(event)
    assert store.count_raw() == 0


@pytest.mark.usefixtures("context")
def test_of_many_the_bad_ones_alone_are_refused_by_index(client: FlaskClient) -> None:
    events = (make_event(content=text) if text else BAD for text in ("one", "", "two", ""))
    answer = LogService().record_many(events)
    assert answer.accepted == 2
    assert [rejected.index for rejected in answer.rejected] == [1, 3]
    assert all("quota" in rejected.message for rejected in answer.rejected)
    assert sorted(contents(rows(client))) == ["one", "two"]


@pytest.mark.usefixtures("context")
def test_both_doors_refuse_in_the_same_words(client: FlaskClient) -> None:
    events = [make_event(), BAD, {"other": "{"}]
    said = assert_ok(client.post("/api/log/", json=events, headers=GATEWAY))["rejected"]
    rejected = tuple(Rejected(**one) for one in said)
    assert current_logs().record_many(events) == Recorded(accepted=1, rejected=rejected)


@pytest.mark.usefixtures("context")
def test_many_may_be_none_or_all_bad() -> None:
    assert current_logs().record_many([]) == Recorded(accepted=0)
    answer = current_logs().record_many([7])
    assert answer == Recorded(0, (Rejected(0, "the event is no object"),))


@pytest.mark.usefixtures("context")
def test_more_at_once_than_a_post_may_hold_are_refused_whole(store: LogStore) -> None:
    with pytest.raises(InvalidValue, match=str(MOST_EVENTS)):
        current_logs().record_many({"quota": 1} for _ in range(MOST_EVENTS + 1))
    assert store.count_raw() == 0


@pytest.mark.usefixtures("context")
def test_many_are_stored_together_or_not_at_all(store: LogStore) -> None:
    store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE log_contents RENAME TO away"))
    with pytest.raises(Unavailable):
        current_logs().record_many([make_event(), make_event()])
    with pytest.raises(Unavailable):
        current_logs().record(make_event())
    store.write(lambda connection: connection.exec_driver_sql("ALTER TABLE away RENAME TO log_contents"))
    assert store.count_raw() == store.count_all() == 0


@contextmanager
def outside() -> Iterator[None]:
    """Expect the sentence for callers outside an application."""
    with pytest.raises(RuntimeError, match=r"with app\.app_context\(\)"):
        yield


def test_outside_an_application_it_says_what_to_do() -> None:
    with outside():
        current_logs()
    with outside():
        LogService().record(quota=1)
    with outside():
        LogService().record_many([])


def test_an_application_without_the_log_is_told_so() -> None:
    with Flask("other").app_context(), pytest.raises(RuntimeError, match="has no LogService"):
        current_logs()


def test_logs_once_made_serve_a_thread_without_a_context(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        logs = current_logs()
    thread = threading.Thread(target=logs.record, kwargs={"content": "from a thread"})
    thread.start()
    thread.join()
    assert only_row(client)["content"] == "from a thread"


def test_two_applications_keep_their_logs_apart(tmp_path: Any) -> None:
    apps = [logservice.create_app(instance_path=str(tmp_path / name)) for name in ("first", "second")]
    log = LogService()
    for app in apps:
        with app.app_context():
            log.record(content=app.instance_path)
    for app in apps:
        with app.app_context():
            assert current_logs().store.count_raw() == 1
            current_logs().store.close()


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True, scope="session")
@pytest.mark.usefixtures("context")
def test_recording_does_not_wait_for_an_open_transaction_of_the_caller(db_url: str, store: LogStore) -> None:
    with psycopg.connect(db_url) as own:
        own.execute("CREATE TABLE orders (id int)")
        current_logs().record(make_event())
        own.rollback()
    assert store.count_raw() == 1


def test_the_package_names_what_it_offers_and_nothing_else() -> None:
    assert logservice.__all__ == ["LogService", "Principal", "create_app", "current_logs"]
    assert all(callable(getattr(logservice, name)) for name in logservice.__all__)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = logservice.nothing_of_the_kind


def test_the_package_itself_loads_nothing_until_it_is_asked() -> None:
    code = "import logservice, sys; print(sorted({'flask', 'sqlalchemy', 'msgspec'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"

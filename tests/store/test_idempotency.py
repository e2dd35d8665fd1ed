"""Idempotency keys: a repeated post stores nothing twice and gets the answer of the first."""

from __future__ import annotations

from typing import Any

import pytest

from logservice.errors import Conflict
from logservice.store import idempotency
from logservice.store.idempotency import IdempotencyKey
from logservice.store.records import Record
from logservice.store.store import LogStore
from tests.store_rows import ENGINES, MIDNIGHT, at_once, contents, each_of, make_record, raw_rows, table_rows

engine_name = each_of(*ENGINES)

BODY = b'{"content": "once"}'
KEY = IdempotencyKey.of("alice", "/api/log/", "key-1", BODY)


def once(content: str = "once") -> list[Record]:
    return [make_record(content=content)]


def test_a_repeat_stores_nothing_and_gets_the_first_answer(store: LogStore) -> None:
    assert store.record(once(), key=KEY, answer="first") == "first"
    assert store.record(once(), key=KEY, answer="second") == "first"

    assert contents(raw_rows(store)) == ["once"]


def test_another_body_under_the_same_key_is_refused(store: LogStore) -> None:
    store.record(once(), key=KEY, answer="first")

    with pytest.raises(Conflict):
        store.record(once("twice"), key=IdempotencyKey.of("alice", "/api/log/", "key-1", b"other"))

    assert contents(raw_rows(store)) == ["once"]


@pytest.mark.parametrize(
    "other",
    [
        ("bob", "/api/log/", "key-1"),
        ("alice", "/api/ingest/litellm", "key-1"),
        ("alice", "/api/log/", "key-2"),
        ("alice/api", "/log/", "key-1"),
    ],
)
def test_a_key_counts_per_principal_and_route(store: LogStore, other: tuple[str, str, str]) -> None:
    store.record(once(), key=KEY, answer="first")

    assert store.record(once(), key=IdempotencyKey.of(*other, BODY), answer="second") == "second"
    assert len(raw_rows(store)) == 2


def test_without_a_key_everything_is_stored(store: LogStore) -> None:
    store.record(once())
    store.record(once())

    assert len(raw_rows(store)) == 2


def test_an_answer_without_rows_is_remembered_too(store: LogStore) -> None:
    assert store.record([], key=KEY, answer="nothing") == "nothing"
    assert store.record([], key=KEY, answer="something") == "nothing"


def test_of_concurrent_repeats_one_is_stored_and_all_get_its_answer(open_store: Any) -> None:
    stores = [open_store(), open_store()]

    answers = at_once(
        [
            lambda number=number: stores[number % 2].record(once(), key=KEY, answer=f"answer {number}")
            for number in range(16)
        ]
    )

    assert len(set(answers)) == 1
    assert answers[0].startswith("answer ")
    assert len(raw_rows(stores[0])) == 1


def test_an_answer_is_forgotten_after_a_day(open_store: Any) -> None:
    time = [float(MIDNIGHT)]
    store = open_store(clock=lambda: time[0])
    store.record(once(), key=KEY, answer="first")

    time[0] += 24 * 3600 - 1
    assert store.record(once(), key=KEY, answer="second") == "first"

    time[0] += 2
    assert store.record(once(), key=KEY, answer="third") == "third"
    assert len(raw_rows(store)) == 2


def test_answers_that_are_too_old_are_not_kept(open_store: Any) -> None:
    time = [float(MIDNIGHT)]
    store = open_store(clock=lambda: time[0])
    store.record(once(), key=KEY, answer="first")

    time[0] += 25 * 3600
    store.record(once(), key=IdempotencyKey.of("alice", "/api/log/", "key-2", BODY), answer="second")

    assert [row["answer"] for row in table_rows(store, idempotency.idempotency)] == ["second"]


def test_a_failed_post_is_not_remembered(store: LogStore) -> None:
    spoiled = once()
    spoiled[0].row["quota"] = None
    with pytest.raises(Exception, match=r"quota|could not do it|NoneType"):
        store.record(spoiled, key=KEY, answer="failed")

    assert store.record(once(), key=KEY, answer="stored") == "stored"
    assert contents(raw_rows(store)) == ["once"]


def test_nothing_that_was_sent_is_kept_in_the_clear(store: LogStore) -> None:
    store.record(once(), key=KEY, answer="an answer")

    stored = str(table_rows(store, idempotency.idempotency))

    assert "key-1" not in stored
    assert "once" not in stored

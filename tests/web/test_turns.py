"""Requests that wait for a commit leave the processor to others."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from flask.testing import FlaskClient

from logservice.server_threads import Begun
from logservice.server_turns import Turns
from logservice.store.store import LogStore
from tests.answers import assert_ok
from tests.processes import eventually
from tests.rows import GATEWAY, make_event

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")


def test_a_post_ends_its_turn_before_it_is_stored(
    client: FlaskClient, store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, has_begun, seen = Turns(), threading.Event(), []
    record = LogStore.record

    def watched(*given: Any, **named: Any) -> str:
        seen.append(has_begun.wait(10))
        return record(*given, **named)

    def read() -> None:
        with turns.taken(Begun(writes=False, since=0)):
            has_begun.set()

    monkeypatch.setattr(LogStore, "record", watched)
    reader = threading.Thread(target=read)
    with turns.taken(Begun(writes=True, since=0)):
        reader.start()
        assert eventually(lambda: turns.waiting == 1)
        assert_ok(client.post("/api/log/", json=make_event(), headers=GATEWAY))
    reader.join(10)
    assert seen == [True]
    assert store.count_raw() == 1

"""What a client does with each mood of a service: on real connections, to a server that has them all."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logservice.client import Client, Counts, Limits
from tests.client.unreliable import Unreliable, failure, report, unreliable

TOKEN = "a-writers-access-token"
#: A certificate for 127.0.0.1 that nobody else trusts, and its key.
CERTIFICATE = Path(__file__).parent / "localhost.pem"


@pytest.fixture
def server() -> Iterator[tuple[Unreliable, str]]:
    """A server with moods, and its address."""
    with unreliable() as found:
        yield found


def hasty(**changes: Any) -> Limits:
    """Return limits that make a test short."""
    defaults: dict[str, Any] = {"gather": 0.02, "first_pause": 0.02, "longest_pause": 0.1}
    return Limits(**{**defaults, **changes})


def record(client: Client, number: int, **fields: Any) -> None:
    """Record so many events, each with a request id of its own."""
    for place in range(number):
        assert client.record(request_id=f"r{place}", **fields)


def ids_of(state: Unreliable) -> list[str]:
    """Return the request ids of everything stored, as often as it was stored."""
    return [event["request_id"] for events in state.stored.values() for event in events]


# -- all is well -------------------------------------------------------------------------------------------


def test_events_arrive_in_order_and_in_few_requests_on_one_connection(
    server: tuple[Unreliable, str],
) -> None:
    state, url = server
    with Client(url, TOKEN, limits=Limits(batch_events=100)) as client:
        record(client, 250)
        assert client.flush()
        record(client, 10)
    assert [len(request.events) for request in state.requests] == [100, 100, 50, 10]
    assert ids_of(state) == [f"r{place}" for place in [*range(250), *range(10)]]
    assert state.connections == 1
    assert client.counts == Counts(recorded=260, stored=260)


def test_a_request_says_who_sends_what_and_under_which_key(server: tuple[Unreliable, str]) -> None:
    state, url = server
    before = time.time()
    with Client(f"{url}/", TOKEN, path="/usage/") as client:
        client.record({"username": "alice"}, content="zwei\nZeilen 两行")
    [request] = state.requests
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["Content-Type"] == "application/x-ndjson"
    assert request.headers["Idempotency-Key"]
    [event] = request.events
    assert before <= event.pop("created_at") <= time.time()
    assert event == {"username": "alice", "content": "zwei\nZeilen 两行"}


def test_events_share_requests_up_to_their_size(server: tuple[Unreliable, str]) -> None:
    state, url = server
    with Client(url, TOKEN, limits=Limits(batch_bytes=1000)) as client:
        record(client, 10, content="x" * 300)
        client.record(request_id="large", content="x" * 5000)
        record(client, 1)
    assert all(len(request.body) <= 1000 or len(request.events) == 1 for request in state.requests)
    assert len(state.requests) == 7
    assert client.counts.stored == 12


def test_an_event_waits_for_others_only_so_long(server: tuple[Unreliable, str]) -> None:
    state, url = server
    with Client(url, TOKEN, limits=hasty()) as client:
        client.record(quota=1)
        state.wait_for(1)


def test_a_connection_that_the_service_closed_meanwhile_costs_no_pause(
    server: tuple[Unreliable, str],
) -> None:
    """Keep-alive ends after some seconds of silence; that is no failure of the service."""
    state, url = server
    state.mood = "close"
    with Client(url, TOKEN, limits=hasty(first_pause=60, longest_pause=60)) as client:
        for place in range(3):
            client.record(request_id=f"r{place}")
            state.wait_for(place + 1)
    assert ids_of(state) == ["r0", "r1", "r2"]
    assert state.connections == 3


def test_many_threads_record_at_once(server: tuple[Unreliable, str]) -> None:
    state, url = server
    with Client(url, TOKEN) as client:
        threads = [threading.Thread(target=record, args=(client, 500), kwargs={"quota": n}) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert client.counts == Counts(recorded=4000, stored=4000)
    events = [event for stored in state.stored.values() for event in stored]
    assert len({(event["quota"], event["request_id"]) for event in events}) == len(events) == 4000


# -- failures that pass ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_batch_is_sent_again_under_its_key_until_it_is_stored(
    server: tuple[Unreliable, str], status: int
) -> None:
    state, url = server
    state.mood = (status, failure("not now"), {})
    with Client(url, TOKEN, limits=hasty()) as client:
        record(client, 5)
        state.wait_for(3)
        state.mood = "good"
        assert client.flush()
    # On a busy machine the five may be two batches; the first is sent again as it was.
    assert len(set(state.keys[:3])) == 1
    assert len({request.body for request in state.requests[:3]}) == 1
    assert client.counts == Counts(recorded=5, stored=5)


def test_a_lost_answer_stores_nothing_twice(server: tuple[Unreliable, str]) -> None:
    state, url = server
    state.mood = "lose"
    with Client(url, TOKEN, limits=hasty()) as client:
        record(client, 5)
        state.wait_for(3)
        state.mood = "good"
        assert client.flush()
    assert ids_of(state) == [f"r{place}" for place in range(5)]
    assert client.counts == Counts(recorded=5, stored=5)


@pytest.mark.parametrize(("mood", "silence"), [("hang", 0.3), ("hang", 60), ("trickle", 60)])
def test_a_request_ends_at_its_deadline(server: tuple[Unreliable, str], mood: str, silence: float) -> None:
    """A service that hangs is silent for too long; one that trickles never is, and takes too long in all."""
    state, url = server
    state.mood = mood
    with Client(url, TOKEN, limits=hasty(read_timeout=silence, deadline=0.5)) as client:
        record(client, 5)
        state.wait_for(2)
        assert state.requests[1].at - state.requests[0].at >= 0.3
        state.mood = "good"
        assert client.flush()
    assert state.keys[0] == state.keys[1]
    assert ids_of(state) == [f"r{place}" for place in range(5)]
    assert client.counts == Counts(recorded=5, stored=5)


def test_nobody_listening_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        client = Client(f"http://127.0.0.1:{port}", TOKEN, limits=hasty())
        record(client, 3)
        assert not client.flush(0.3)
        assert client.counts == Counts(recorded=3, waiting=3)
        assert not client.close(0.1)
    assert client.counts == Counts(recorded=3, dropped_closed=3)
    said = [entry.getMessage() for entry in caplog.records]
    assert len(said) == 2
    assert "takes no events" in said[0]
    assert "3 events were not delivered" in said[1]
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(client)


def test_pauses_grow_and_differ() -> None:
    with unreliable() as (state, url):
        state.mood = (503, b"", {})
        with Client(url, TOKEN, limits=hasty(first_pause=0.1, longest_pause=60)) as client:
            client.record(quota=1)
            state.wait_for(5)
            state.mood = "good"
            assert client.flush()
        gaps = [
            later.at - earlier.at for earlier, later in zip(state.requests, state.requests[1:5], strict=False)
        ]
    for place, gap in enumerate(gaps):
        assert gap >= 0.05 * 2**place
    assert sum(gaps) > 0.75


def test_a_pause_is_as_long_as_the_service_asks(server: tuple[Unreliable, str]) -> None:
    """Not even a flush cuts it short; it does so to a pause of the client's own."""
    state, url = server
    state.mood = (503, failure("locked"), {"Retry-After": "1"})
    with Client(url, TOKEN, limits=hasty()) as client:
        client.record(quota=1)
        state.wait_for(1)
        state.mood = "good"
        assert client.flush()
    assert state.requests[1].at - state.requests[0].at >= 1


def test_a_flush_does_not_wait_for_the_end_of_a_long_pause(server: tuple[Unreliable, str]) -> None:
    state, url = server
    state.mood = (503, b"", {})
    with Client(url, TOKEN, limits=Limits(gather=0.02, first_pause=60, longest_pause=60)) as client:
        client.record(quota=1)
        state.wait_for(1)
        state.mood = "good"
        assert client.flush(5)


def test_closing_makes_a_last_attempt_whatever_the_service_asked_for(server: tuple[Unreliable, str]) -> None:
    state, url = server
    state.mood = (503, b"", {"Retry-After": "120"})
    client = Client(url, TOKEN, limits=hasty())
    client.record(quota=1)
    state.wait_for(1)
    state.mood = "good"
    assert client.close(5)
    assert client.counts == Counts(recorded=1, stored=1)


# -- refusals ----------------------------------------------------------------------------------------------


def test_events_that_the_service_refuses_are_named_to_log_and_callback(
    server: tuple[Unreliable, str], caplog: pytest.LogCaptureFixture
) -> None:
    state, url = server
    state.mood = (200, report(2, (1, "quota: too much")), {})
    refused: list[tuple[Any, str]] = []
    with Client(url, TOKEN, on_refused=lambda *args: refused.append(args)) as client:
        record(client, 3)
        assert client.flush()
    [(event, message)] = refused
    assert (event["request_id"], message) == ("r1", "quota: too much")
    assert "refused 1 of 3 events; the first: quota: too much" in caplog.text
    assert client.counts == Counts(recorded=3, stored=2, refused=1)


@pytest.mark.parametrize("status", [400, 409])
def test_a_batch_that_is_refused_whole_is_not_sent_again(server: tuple[Unreliable, str], status: int) -> None:
    state, url = server
    state.mood = (status, failure("none of 3 events was valid; the first, index 0: quota"), {})
    refused: list[str] = []
    with Client(url, TOKEN, on_refused=lambda _event, message: refused.append(message)) as client:
        record(client, 3)
        assert client.flush()
        state.mood = "good"
        client.record(request_id="good")
    assert len(state.requests) == 2
    assert len(refused) == 3
    assert all("none of 3" in message for message in refused)
    assert client.counts == Counts(recorded=4, stored=1, refused=3)


def test_a_batch_that_is_too_large_is_halved_under_new_keys(server: tuple[Unreliable, str]) -> None:
    state, url = server
    state.mood = (413, b"<html>too large</html>", {})
    with Client(url, TOKEN, limits=hasty(first_pause=60)) as client:
        record(client, 4)
        assert client.flush()
        assert client.counts == Counts(recorded=4, refused=4)
    sizes = [len(request.events) for request in state.requests]
    assert sizes == [4, 2, 1, 1, 2, 1, 1]
    assert len(set(state.keys)) == 7


@pytest.mark.parametrize("status", [401, 403, 404, 415, 302])
def test_events_outlive_what_an_operator_has_to_mend(
    server: tuple[Unreliable, str], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    state, url = server
    state.mood = (status, failure("not you"), {})
    with Client(url, TOKEN, limits=hasty()) as client:
        record(client, 3)
        state.wait_for(4)
        assert client.counts == Counts(recorded=3, waiting=3)
        state.mood = "good"
        assert client.flush()
    assert client.counts == Counts(recorded=3, stored=3)
    assert [entry.levelno for entry in caplog.records] == [logging.ERROR, logging.WARNING]
    assert f"status {status}: not you" in caplog.records[0].getMessage()


def test_an_answer_that_is_not_the_services_acknowledges_nothing(server: tuple[Unreliable, str]) -> None:
    state, url = server
    state.mood = (200, b"<html>please sign in to the network</html>", {"Content-Type": "text/html"})
    with Client(url, TOKEN, limits=hasty()) as client:
        record(client, 3)
        state.wait_for(2)
        assert client.counts.stored == 0
        state.mood = "good"
        assert client.flush()
    assert client.counts == Counts(recorded=3, stored=3)


def test_what_cannot_be_written_never_reaches_the_caller_as_an_exception(
    server: tuple[Unreliable, str], caplog: pytest.LogCaptureFixture
) -> None:
    state, url = server
    seen: list[tuple[Any, str]] = []
    with Client(url, TOKEN, on_refused=lambda *args: seen.append(args)) as client:
        assert not client.record({"content": {1, 2}})
        assert not client.record(7)
        assert client.record(request_id="good")
        assert client.flush()
        assert len(seen) == 2
        assert "set" in seen[0][1]
        assert seen[1] == (7, "the event is no mapping but int")
    assert "cannot be written as JSON" in caplog.text
    assert client.counts == Counts(recorded=3, stored=1, refused=2)
    assert ids_of(state) == ["good"]


def test_refusals_are_reported_while_the_service_is_away(server: tuple[Unreliable, str]) -> None:
    state, url = server
    state.mood = (503, b"", {})
    seen: list[str] = []
    with Client(
        url, TOKEN, limits=hasty(), on_refused=lambda _event, message: seen.append(message)
    ) as client:
        client.record(quota=1)
        state.wait_for(1)
        client.record(quota=float("inf"))
        state.wait_for(len(state.requests) + 2)
        assert len(seen) == 1
        state.mood = "good"


def test_a_callback_that_fails_costs_nothing_else(
    server: tuple[Unreliable, str], caplog: pytest.LogCaptureFixture
) -> None:
    state, url = server

    def fail(_event: Any, _message: str) -> None:
        raise LookupError("nobody is interested")

    state.mood = (200, report(0, (0, "bad")), {})
    with Client(url, TOKEN, on_refused=fail) as client:
        record(client, 1)
        assert client.flush()
        state.mood = "good"
        client.record(request_id="later")
    assert "on_refused failed" in caplog.text
    assert client.counts == Counts(recorded=2, stored=1, refused=1)


# -- bounds ------------------------------------------------------------------------------------------------


def test_a_full_buffer_drops_what_is_new_and_counts_each(
    server: tuple[Unreliable, str], caplog: pytest.LogCaptureFixture
) -> None:
    state, url = server
    state.mood = "hang"
    with Client(url, TOKEN, limits=hasty(max_events=100, batch_events=30, read_timeout=0.5)) as client:
        kept = [client.record(request_id=f"r{place}") for place in range(250)]
        assert kept == [True] * 100 + [False] * 150
        state.wait_for(1)
        assert not client.record(request_id="what is under way counts too")
        assert client.counts == Counts(recorded=251, dropped_full=151, waiting=100)
        state.mood = "good"
        assert client.flush()
        assert client.record(request_id="room again")
    assert ids_of(state) == [*(f"r{place}" for place in range(100)), "room again"]
    assert client.counts == Counts(recorded=252, stored=101, dropped_full=151)
    assert client.counts.dropped == 151
    assert "151 events dropped" in caplog.text


def test_the_buffer_is_bounded_in_bytes_too(server: tuple[Unreliable, str]) -> None:
    state, url = server
    state.mood = "hang"
    with Client(url, TOKEN, limits=hasty(max_bytes=10_000, read_timeout=0.5)) as client:
        kept = sum(client.record(content="x" * 1000) for _ in range(20))
        assert kept == 9
        assert client.record(content="a small one still fits")
        state.mood = "good"
        assert client.flush()
        assert client.record(content="x" * 1000)
    assert client.counts == Counts(recorded=22, stored=11, dropped_full=11)


def test_the_caller_does_no_work_for_a_service_that_hangs(server: tuple[Unreliable, str]) -> None:
    """10,000 events are recorded while a single request hangs for far longer than that takes."""
    state, url = server
    state.mood = "hang"
    with Client(url, TOKEN, limits=Limits(gather=0.01)) as client:
        client.record(quota=0)
        state.wait_for(1)
        started = time.monotonic()
        record(client, 10_000, username="alice", model_name="gpt-4o", content="answered", other={"note": "x"})
        assert time.monotonic() - started < 5
        assert len(state.requests) == 1
        state.mood = "good"
        state.released.set()
    assert client.counts == Counts(recorded=10_001, stored=10_001)


def test_what_is_recorded_after_closing_is_counted(server: tuple[Unreliable, str]) -> None:
    state, url = server
    client = Client(url, TOKEN)
    record(client, 2)
    assert client.close()
    assert client.close()
    assert not client.record(quota=1)
    assert client.counts == Counts(recorded=3, stored=2, dropped_closed=1)
    assert len(state.requests) == 1


def test_closing_ends_the_thread_and_a_client_never_used_has_none(server: tuple[Unreliable, str]) -> None:
    _, url = server
    before = threading.active_count()
    unused = Client(url, TOKEN)
    assert threading.active_count() == before
    assert unused.flush()
    assert unused.close()
    with Client(url, TOKEN) as client:
        client.record(quota=1)
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("logservice-client") == 1
    assert "logservice-client" not in [thread.name for thread in threading.enumerate()]


def test_closing_gives_up_in_time_when_the_service_hangs(server: tuple[Unreliable, str]) -> None:
    state, url = server
    state.mood = "hang"
    client = Client(url, TOKEN, limits=hasty())
    record(client, 3)
    state.wait_for(1)
    started = time.monotonic()
    assert not client.close(0.3)
    assert time.monotonic() - started < 5
    assert client.counts == Counts(recorded=3, dropped_closed=3)


# -- what it is made with ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "token", "path", "named"),
    [
        ("127.0.0.1:8000", TOKEN, "/api/log/", "url"),
        ("ftp://host", TOKEN, "/api/log/", "url"),
        ("http://", TOKEN, "/api/log/", "url"),
        ("http://alice:secret@host", TOKEN, "/api/log/", "url"),
        ("http://host/?a=b", TOKEN, "/api/log/", "url"),
        ("http://host:port", TOKEN, "/api/log/", "[Pp]ort"),
        ("http://host", TOKEN, "api", "path"),
        ("http://host", TOKEN, "/a b", "path"),
        ("http://host", "", "/api/log/", "access_token"),
        ("http://host", "two\r\nlines", "/api/log/", "access_token"),
        ("http://host", "密码", "/api/log/", "access_token"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused_at_once(url: str, token: str, path: str, named: str) -> None:
    with pytest.raises(ValueError, match=named) as raised:
        Client(url, token, path=path)
    assert not token or token not in str(raised.value)


@pytest.mark.parametrize("value", [0, -1, None, "1", float("nan")])
def test_a_limit_that_is_none_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ValueError, match="max_events"):
        Limits(max_events=value)


# -- TLS ---------------------------------------------------------------------------------------------------


def test_https_is_spoken_with_who_can_prove_who_they_are() -> None:
    with unreliable(certificate=CERTIFICATE) as (state, url):
        trusting = ssl.create_default_context(cafile=CERTIFICATE)
        with Client(url, TOKEN, ssl_context=trusting, limits=hasty(deadline=0.5, read_timeout=60)) as client:
            record(client, 100, content="x" * 10_000)
            assert client.flush()
            state.mood = "trickle"
            client.record(request_id="late")
            state.wait_for(len(state.requests) + 2)
            state.mood = "good"
            assert client.flush()
        assert client.counts == Counts(recorded=101, stored=101)


def test_who_cannot_prove_it_gets_neither_events_nor_the_token(caplog: pytest.LogCaptureFixture) -> None:
    with unreliable(certificate=CERTIFICATE) as (state, url):
        client = Client(url, TOKEN, limits=hasty())
        record(client, 1)
        assert not client.flush(0.5)
        assert not client.close(0.1)
        assert state.connections > 1
        assert state.requests == []
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text

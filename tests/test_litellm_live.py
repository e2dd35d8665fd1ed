"""The main job on real input: LiteLLM's own callback fills a running service, and all read their part."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.serving import TOKENS, Service, serving

EXAMPLE = Path(__file__).parent.parent / "examples" / "litellm" / "send.py"
CALLS = 6


def _load_example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("litellm_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, dict[str, Any]]]:
    """A service that LiteLLM has filled, and what LiteLLM's caller saw."""
    with serving(tmp_path_factory.mktemp("litellm")) as service:
        yield service, _load_example().main(service.url, TOKENS["gateway"], CALLS)


def _calls(sent: dict[str, Any]) -> int:
    calls: int = sent["successes"] + sent["streams"] + sent["failures"]
    return calls


def test_every_call_became_one_row(filled: tuple[Service, dict[str, Any]]) -> None:
    service, sent = filled
    page = service.get("/api/log/?page_size=100")
    assert page["total"] == _calls(sent) == 3 * CALLS
    assert len({row["request_id"] for row in page["items"]}) == page["total"]


def test_the_sums_are_those_the_caller_saw(filled: tuple[Service, dict[str, Any]]) -> None:
    service, sent = filled
    stat = service.get("/api/log/stat")
    assert stat["requests"] == _calls(sent)
    assert stat["errors"] == sent["failures"]
    assert stat["prompt_tokens"] == sent["prompt_tokens"]
    assert stat["completion_tokens"] == sent["completion_tokens"]
    assert stat["quota"] > 0


def test_streams_and_failures_are_told_apart(filled: tuple[Service, dict[str, Any]]) -> None:
    service, sent = filled
    failed = service.get("/api/log/?type=error&page_size=100")["items"]
    good = service.get("/api/log/?type=consume&page_size=100")["items"]
    assert len(failed) == sent["failures"]
    assert all(row["content"] for row in failed)
    assert sum(row["is_stream"] for row in good) == sent["streams"]


def test_a_user_sees_their_own_calls(filled: tuple[Service, dict[str, Any]]) -> None:
    service, _ = filled
    own = service.get("/api/log/self?page_size=100", user="alice")
    assert {row["username"] for row in own["items"]} == {"alice"}
    assert own["total"] == service.get("/api/log/?username=alice")["total"] > 0
    assert service.get("/api/log/self/stat", user="alice")["requests"] == own["total"]


def test_a_key_opens_its_rows_though_only_its_hash_was_sent(filled: tuple[Service, dict[str, Any]]) -> None:
    service, sent = filled
    for user, key in zip(sent["users"], sent["keys"], strict=True):
        rows = service.get(f"/api/log/token?key={key}")
        assert {row["username"] for row in rows} == {user}
        assert len(rows) == service.get(f"/api/log/?username={user}")["total"]


def test_search_finds_the_error_text(filled: tuple[Service, dict[str, Any]]) -> None:
    service, _ = filled
    failed = service.get("/api/log/?type=error&page_size=100")["items"]
    found = service.get("/api/log/search?keyword=ratelimiterror")
    assert {row["id"] for row in found} == {
        row["id"] for row in failed if "ratelimiterror" in row["content"].casefold()
    }
    assert found


def test_neither_keys_nor_messages_were_stored(filled: tuple[Service, dict[str, Any]]) -> None:
    service, sent = filled
    stored = b"".join(path.read_bytes() for path in service.folder.glob("logservice.db*"))
    for key in sent["keys"]:
        assert key.encode() not in stored
        assert hashlib.sha256(key.encode()).hexdigest().encode() in stored
    assert b"How long is a day on Mars" not in stored

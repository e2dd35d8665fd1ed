"""The real LiteLLM, each of its callbacks unmodified: the same calls and sums, nothing counted twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.serving import TOKENS, Service, serving

EXAMPLE = Path(__file__).parent.parent / "examples" / "litellm" / "send.py"
CALLS = 4

#: Each way LiteLLM can report its calls: the callback, and what else is set in its environment.
WAYS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "generic_api": ("generic_api", {}),
    "openmeter": ("openmeter", {}),
    "otel": ("otel", {}),
    "otel packed": ("otel", {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}),
    "otel by the conventions": ("otel", {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}),
    "otel of its new exporter": ("otel", {"LITELLM_OTEL_V2": "true"}),
}


@dataclass(frozen=True)
class Filled:
    """A service that LiteLLM has filled, and what LiteLLM's caller saw."""

    service: Service
    sent: dict[str, Any]

    def rows(self, query: str = "") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.service.get(f"/api/log/?page_size=100&{query}")["items"]
        return rows


@contextmanager
def filled(folder: Path, way: str) -> Iterator[Filled]:
    """Fill a service from LiteLLM in a process of its own: OpenTelemetry is set up once for a process."""
    callback, environment = WAYS[way]
    with serving(folder) as service:
        where = ["--url", service.url, "--token", TOKENS["root"]]
        done = subprocess.run(
            [sys.executable, str(EXAMPLE), "--calls", str(CALLS), "--callback", callback, *where],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield Filled(service, json.loads(done.stdout)["sent"])


# One test for each way, for it takes seconds to import LiteLLM.
@pytest.mark.parametrize("way", WAYS)
def test_each_callback_reports_the_calls_its_caller_saw_and_none_twice(tmp_path: Path, way: str) -> None:
    with filled(tmp_path, way) as it:
        reports_all = way != "openmeter"  # which knows neither failures, keys nor streams
        failures = it.sent["failures"] if reports_all else 0
        assert it.sent["successes"] == it.sent["streams"] == it.sent["failures"] == CALLS

        check_sums(it, calls=2 * CALLS + failures, failures=failures)
        check_people(it)
        if reports_all:
            check_keys(it)
            check_streams(it)
            check_what_failed_is_found(it)
        check_nothing_private_was_kept(it)


def check_sums(it: Filled, *, calls: int, failures: int) -> None:
    rows, stat = it.rows(), it.service.get("/api/log/stat")
    assert len(rows) == len({row["request_id"] for row in rows}) == calls
    assert (stat["requests"], stat["errors"]) == (calls, failures)
    assert stat["prompt_tokens"] == it.sent["prompt_tokens"] > 0
    assert stat["completion_tokens"] == it.sent["completion_tokens"] > 0
    assert all(row["quota"] > 0 for row in rows if row["type"] == 2)
    assert all("litellm" in row["content"].lower() for row in rows if row["type"] == 4)


def check_people(it: Filled) -> None:
    """Each user has calls, together they have all, and they see their own."""
    calls_of = {user: len(it.rows(f"username={user}")) for user in it.sent["users"]}
    assert sum(calls_of.values()) == len(it.rows())
    assert all(calls_of.values())
    own = it.service.get("/api/log/self?page_size=100", user="alice")
    assert {row["username"] for row in own["items"]} == {"alice"}
    assert own["total"] == calls_of["alice"] == it.service.get("/api/log/self/stat", user="alice")["requests"]


def check_keys(it: Filled) -> None:
    """Only the hashes were sent, and the keys open their rows."""
    for user, key in zip(it.sent["users"], it.sent["keys"], strict=True):
        rows = it.service.get(f"/api/log/token?key={key}")
        assert {(row["username"], row["token_name"]) for row in rows} == {(user, f"{user}'s laptop")}


def check_streams(it: Filled) -> None:
    good = it.rows("type=consume")
    assert sum(row["is_stream"] for row in good) == it.sent["streams"]


def check_what_failed_is_found(it: Filled) -> None:
    failed = it.rows("type=error")
    found = it.service.get("/api/log/search?keyword=ratelimiterror")
    named = {row["id"] for row in failed if "ratelimiterror" in row["content"].casefold()}
    assert {row["id"] for row in found} == named
    assert named


def check_nothing_private_was_kept(it: Filled) -> None:
    stored = b"".join(path.read_bytes() for path in it.service.folder.glob("logservice.db*"))
    assert not [key for key in it.sent["keys"] if key.encode() in stored]
    assert b"How long is a day on Mars" not in stored
    assert b"A day on Mars lasts" not in stored

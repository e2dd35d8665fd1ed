"""Make calls with the real LiteLLM, let one of its own callbacks log them, and read the sums back.

Nothing goes to a provider: the answers are LiteLLM's own mock responses. Run it with

    python send.py --url http://127.0.0.1:8000 --token <access token of an admin>

and `--callback openmeter` or `--callback otel` for another way than `generic_api`.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import secrets
import urllib.request
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

# Read when litellm is imported: with it the package brings its price table along instead of fetching it.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
import openai
from litellm.integrations.custom_logger import CustomLogger
from litellm.integrations.generic_api.generic_api_callback import GenericAPILogger
from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

litellm.suppress_debug_info = True  # or each failure prints where to report it

CALLBACKS = ("generic_api", "openmeter", "otel")
USERS = ("alice", "bob")
MODEL = "openai/gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "How long is a day on Mars?"}]
ANSWER = "A day on Mars lasts twenty-four hours and thirty-nine minutes."

# How calls fail: refused at once, broken on the way, broken in the middle of a stream.
FAILURES: tuple[dict[str, Any], ...] = (
    {"mock_response": "litellm.RateLimitError"},
    {"mock_response": RuntimeError("the connection was reset")},
    {"mock_response": "Exception: mock_streaming_error", "stream": True},
)


def main(url: str, token: str, calls: int, callback: str = "generic_api") -> dict[str, Any]:
    """Make `calls` successes, streams and failures each, in turn for two users, and return what was sent.

    The numbers are those that the caller of LiteLLM saw: `successes`, `streams`, `failures`, `prompt_tokens`
    and `completion_tokens`. `keys` are the plain API keys of `users`, in the same order; the service is sent
    their hashes only.
    """
    keys = [f"sk-{secrets.token_hex(16)}" for _ in USERS]
    seen = asyncio.run(_send(partial(_logger, callback, url.rstrip("/"), token), calls, keys))
    return {"users": list(USERS), "keys": keys, **seen}


async def _send(
    make_logger: Callable[[], GenericAPILogger | str], calls: int, keys: list[str]
) -> Counter[str]:
    seen: Counter[str] = Counter(successes=0, streams=0, failures=0, prompt_tokens=0, completion_tokens=0)
    logger, logged = make_logger(), Logged()
    litellm.callbacks += [logger, logged]
    try:
        for number in range(calls):
            user = number % len(USERS)
            request = partial(_request, USERS[user], keys[user])
            seen.update(await _success(request()))
            seen.update(await _stream(request()))
            seen.update(await _failure(request() | FAILURES[number % len(FAILURES)]))
            await logged.wait_for(3 * (number + 1))
            await _flush(logger)
    finally:
        for callback in (logger, logged):
            litellm.logging_callback_manager.remove_callback_from_all_lists(callback)
        await litellm.close_litellm_async_clients()
    return seen


class Logged(CustomLogger):
    """Counts the calls that LiteLLM has handed to its callbacks, which it does in the background."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    async def async_log_success_event(self, **_: Any) -> None:
        self._count += 1

    async_log_failure_event = async_log_success_event

    async def wait_for(self, expected: int) -> None:
        """Wait until that many calls were handed over, and until the callbacks are done with them."""
        async with asyncio.timeout(30):
            while self._count < expected:
                await asyncio.sleep(0.01)
            await GLOBAL_LOGGING_WORKER.flush()


def _logger(callback: str, url: str, token: str) -> GenericAPILogger | str:
    """Return what goes into `litellm.callbacks`, with the settings that a proxy reads from its environment
    or its `config.yaml`.
    """
    if callback == "openmeter":
        os.environ |= {"OPENMETER_API_ENDPOINT": url, "OPENMETER_API_KEY": token}
        return callback
    if callback == "otel":
        headers = f"Authorization=Bearer {token}"
        os.environ |= {"OTEL_EXPORTER": "otlp_http", "OTEL_ENDPOINT": url, "OTEL_HEADERS": headers}
        return callback
    return GenericAPILogger(
        endpoint=f"{url}/api/ingest/litellm",
        headers={"Authorization": f"Bearer {token}"},
        flush_interval=3600,  # seconds: we flush by hand, see below
    )


def _request(user: str, key: str) -> dict[str, Any]:
    """Return a call. Its metadata is its own: `otel` notes there that it has seen the call, and takes every
    other one with the same metadata for a repeat.
    """
    return {"model": MODEL, "messages": MESSAGES, "metadata": _metadata(user, key)}


def _metadata(user: str, key: str) -> dict[str, Any]:
    """Return what LiteLLM's proxy would add to a call that came with this key."""
    return {
        "user_api_key_hash": hashlib.sha256(key.encode()).hexdigest(),
        "user_api_key_alias": f"{user}'s laptop",
        "user_api_key_user_id": user,
        "user_api_key_team_alias": "science",
        "requester_ip_address": "203.0.113.7",
        "tags": ["example"],
    }


async def _success(request: dict[str, Any]) -> Counter[str]:
    answer = await litellm.acompletion(**request, mock_response=ANSWER)
    return Counter(successes=1) + _tokens(answer.usage)


async def _stream(request: dict[str, Any]) -> Counter[str]:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = [chunk async for chunk in await litellm.acompletion(**request, **options, mock_response=ANSWER)]
    return Counter(streams=1) + _tokens(chunks[-1].usage)


async def _failure(request: dict[str, Any]) -> Counter[str]:
    try:
        answer = await litellm.acompletion(**request)
        async for _ in answer:
            pass
    except openai.APIError:
        return Counter(failures=1)
    raise RuntimeError("a call that should have failed did not")


def _tokens(usage: Any) -> Counter[str]:
    return Counter(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)


async def _flush(logger: GenericAPILogger | str) -> None:
    """Post what the last calls logged; `openmeter` has done so already, and LiteLLM's newer exporter of spans
    (LITELLM_OTEL_V2) does so at the end of the program.

    After a post `generic_api` empties its queue, together with whatever was logged meanwhile: that is why no
    call may be under way now.
    """
    if isinstance(logger, GenericAPILogger):
        await logger.flush_queue()
    elif logger == "otel":
        from opentelemetry import trace

        provider = trace.get_tracer_provider()
        if hasattr(provider, "force_flush"):
            provider.force_flush()


def stat(url: str, token: str) -> dict[str, Any]:
    """Return the sums over all rows, as an admin sees them."""
    address = f"{url.rstrip('/')}/api/log/stat"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        data: dict[str, Any] = json.load(answer)["data"]
    return data


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fill a running logservice from the real LiteLLM.")
    parser.add_argument("--url", default=os.environ.get("LOGSERVICE_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--token", default=os.environ.get("LOGSERVICE_TOKEN"))
    parser.add_argument("--calls", type=int, default=10, help="of each kind (default: 10)")
    parser.add_argument("--callback", choices=CALLBACKS, default=CALLBACKS[0])
    arguments = parser.parse_args()
    if not arguments.token:
        parser.error("give the access token of an admin with --token or LOGSERVICE_TOKEN")
    sent = main(arguments.url, arguments.token, arguments.calls, arguments.callback)
    print(json.dumps({"sent": sent, "stat": stat(arguments.url, arguments.token)}, indent=2))

"""A tiny gateway to an API like OpenAI's, which records each call, answered or not.

    pip install .
    export GATEWAY_UPSTREAM="https://api.openai.com" GATEWAY_UPSTREAM_KEY="sk-..."
    export GATEWAY_KEYS='{"sk-laptop": {"token_id": 1, "user_id": 7, "username": "alice"}}'
    flask --app examples/gateway/app.py logservice user add root --role admin
    flask --app examples/gateway/app.py run

Point a client at http://127.0.0.1:5000/v1 with that key. Whoever holds the key sees its calls at
/api/log/token, and root all of them at /api/log/page.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from flask import Blueprint, Flask, Response, current_app, request

from logservice import LogService, current_logs
from logservice.errors import LogServiceError
from logservice.logs import Logs

#: Quota for a token of the prompt and for one of the answer, by model.
PRICES = {"oracle-1": (1, 3)}
SECONDS = 120

log = logging.getLogger("gateway")

bp = Blueprint("gateway", __name__)


@dataclass
class Call:
    """One call while it lasts, and the log it ends up in."""

    event: dict[str, Any]
    logs: Logs
    began: float = field(default_factory=time.monotonic)

    def first_token(self) -> None:
        """Note how long the first piece of the answer took."""
        self.event.setdefault("first_token_ms", self._milliseconds())

    def answered(self, usage: Mapping[str, Any] | None) -> None:
        """Record a call that was answered, with the usage that the answer tells."""
        usage = usage or {}
        prompt, completion = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
        details = usage.get("prompt_tokens_details") or {}
        each_prompt, each_completion = PRICES.get(self.event["model_name"], (1, 1))
        self._record(
            type="consume",
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_tokens=details.get("cached_tokens") or 0,
            quota=prompt * each_prompt + completion * each_completion,
        )

    def failed(self, reason: str) -> None:
        """Record a call that was not answered."""
        self._record(type="error", content=reason)

    def _record(self, **more: Any) -> None:
        # Nobody's answer fails for the log's sake.
        try:
            self.logs.record(self.event, use_time_ms=self._milliseconds(), **more)
        except LogServiceError as error:
            log.error("a call was not recorded: %s", error)

    def _milliseconds(self) -> int:
        return round((time.monotonic() - self.began) * 1000)


@bp.post("/v1/chat/completions")
def complete() -> Response:
    """Pass a question on, and the answer back, as a whole or piece by piece."""
    owner = current_app.config["KEYS"].get(request.headers.get("Authorization", "").removeprefix("Bearer "))
    if owner is None:
        return refusal(401, "this key is unknown here")
    question = request.get_json()
    if not isinstance(question, dict):
        return refusal(400, "the body is no object")
    streams = bool(question.get("stream"))
    request_id = uuid.uuid4().hex
    model_name = str(question.get("model", ""))[:128]
    event = {
        "model_name": model_name,
        "is_stream": streams,
        "request_id": request_id,
        "ip": request.remote_addr,
    }
    call = Call({**owner, **event}, current_logs())
    try:
        answer = urlopen(upstream_request(question), timeout=SECONDS)
    except HTTPError as error:
        with error:
            body = error.read()
        call.failed(f"upstream answered {error.code}")
        return Response(body, status=error.code, mimetype="application/json")
    except (OSError, HTTPException) as error:
        call.failed(f"upstream cannot be reached: {type(error).__name__}")
        return refusal(502, "the model cannot be reached")
    if streams:
        asked_for_usage = bool((question.get("stream_options") or {}).get("include_usage"))
        pieces = passed_on(answer, call, with_usage=asked_for_usage)
        return Response(pieces, mimetype="text/event-stream", headers={"X-Request-Id": request_id})
    return whole(answer, call)


def upstream_request(question: dict[str, Any]) -> Request:
    """Return the request with our key instead of the caller's. A stream is always asked to tell its usage."""
    if question.get("stream"):
        options = {**(question.get("stream_options") or {}), "include_usage": True}
        question = {**question, "stream_options": options}
    return Request(
        f"{current_app.config['UPSTREAM']}/v1/chat/completions",
        data=json.dumps(question).encode(),
        headers={
            "Authorization": f"Bearer {current_app.config['UPSTREAM_KEY']}",
            "Content-Type": "application/json",
        },
    )


def whole(answer: HTTPResponse, call: Call) -> Response:
    """Return an answer in one piece."""
    try:
        with answer:
            body = answer.read()
        usage = json.loads(body).get("usage")
    except (OSError, HTTPException, ValueError) as error:
        call.failed(f"upstream broke off: {type(error).__name__}")
        return refusal(502, "the model broke off")
    call.answered(usage)
    return Response(body, mimetype="application/json", headers={"X-Request-Id": call.event["request_id"]})


def passed_on(answer: HTTPResponse, call: Call, *, with_usage: bool) -> Iterator[bytes]:
    """Yield a stream as it comes, and record it when it ends, however it does."""
    usage, is_complete, reason = None, False, "the caller left"
    try:
        with answer:
            for event in events(answer):
                piece = read(event)
                call.first_token()
                usage = piece.get("usage") or usage
                # The last piece has nothing but the usage, which some callers did not ask for.
                if piece.get("choices") != [] or with_usage:
                    yield event
                is_complete = event.strip() == b"data: [DONE]"
        reason = "" if is_complete else "upstream broke off"
    except (OSError, HTTPException, ValueError) as error:
        reason = f"upstream broke off: {type(error).__name__}"
    finally:
        if reason:
            call.failed(reason)
        else:
            call.answered(usage)


def events(answer: HTTPResponse) -> Iterator[bytes]:
    """Yield the events of a stream, each with the empty line behind it."""
    lines: list[bytes] = []
    for line in answer:
        lines.append(line)
        if not line.strip():
            yield b"".join(lines)
            lines = []


def read(event: bytes) -> dict[str, Any]:
    """Return what a piece of an answer says; nothing for the mark of the end."""
    text = event.strip().removeprefix(b"data:").strip()
    return json.loads(text) if text.startswith(b"{") else {}


def refusal(status: int, message: str) -> Response:
    """Return an error as clients of this API expect it."""
    body = json.dumps({"error": {"message": message, "type": "gateway_error"}})
    return Response(body, status=status, mimetype="application/json")


def token_of(key: str) -> int | None:
    """Tell the log which token a key of this gateway stands for."""
    owner = current_app.config["KEYS"].get(key)
    return None if owner is None else owner["token_id"]


logs = LogService(resolve_key=token_of, page=True)


def create_app(config: Mapping[str, Any] | None = None, *, instance_path: str | None = None) -> Flask:
    """Return the application. UPSTREAM, UPSTREAM_KEY and KEYS are GATEWAY_UPSTREAM and so on outside."""
    app = Flask(__name__, instance_path=instance_path)
    app.config.from_mapping(UPSTREAM="http://127.0.0.1:8080", UPSTREAM_KEY="", KEYS={})
    app.config.from_prefixed_env("GATEWAY")
    app.config.from_mapping(config or {})
    logs.init_app(app)
    app.register_blueprint(bp)
    return app

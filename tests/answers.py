"""What every answer looks like, good or bad."""

from __future__ import annotations

from typing import Any

from werkzeug.test import TestResponse


def assert_ok(response: TestResponse) -> Any:
    """Check that an answer is a success in the one envelope, and return its data."""
    assert response.status_code == 200, response.text
    body = _envelope(response)
    assert body.keys() == {"success", "message", "data"}, body
    assert body["success"] is True
    assert body["message"] == ""
    return body["data"]


def assert_error(response: TestResponse, status: int, fragment: str) -> str:
    """Check that an answer is a failure in the one envelope that says `fragment`, and return its message."""
    assert response.status_code == status, f"{response.status_code} {response.text[:500]}"
    body = _envelope(response)
    assert body.keys() == {"success", "message"}, body
    assert body["success"] is False
    message = body["message"]
    assert isinstance(message, str)
    assert message
    assert fragment in message
    return message


def _envelope(response: TestResponse) -> dict[str, Any]:
    assert response.content_type == "application/json"
    if response.request.path.startswith("/api"):
        assert response.headers["Cache-Control"] == "no-store"
    body = response.get_json()
    assert isinstance(body, dict)
    return body

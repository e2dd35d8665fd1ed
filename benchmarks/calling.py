"""Somebody who calls the service over one connection that is kept open."""

from __future__ import annotations

import http.client
import json
from types import TracebackType
from typing import Any, Self

#: A purge of a million rows answers when it is done.
PATIENCE = 900
NDJSON = "application/x-ndjson"
JSON = "application/json"


class Refused(Exception):
    """The service did not answer as it had to."""


class Caller:
    """A connection with an access token."""

    def __init__(self, port: int, access_token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._headers = {"Authorization": f"Bearer {access_token}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def raw(self, path: str, *, method: str = "GET", body: bytes | None = None, content: str = JSON) -> bytes:
        """Send a request and return the whole body of its answer. Raises Refused unless it is a success."""
        headers = self._headers if body is None else {**self._headers, "Content-Type": content}
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise Refused(f"{method} {path}: {response.status} {answer[:300]!r}")
        return answer

    def data(self, path: str, *, method: str = "GET") -> Any:
        """Send a request and return the data of its answer."""
        return json.loads(self.raw(path, method=method))["data"]

    def post(self, body: bytes, *, content: str = NDJSON) -> int:
        """Post events and return how many were stored. Raises Refused when any was not."""
        data = json.loads(self.raw("/api/log/", method="POST", body=body, content=content))["data"]
        if data["rejected"]:
            raise Refused(f"an event was refused: {data['rejected'][0]}")
        accepted: int = data["accepted"]
        return accepted

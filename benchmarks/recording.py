"""How long `Client.record` makes its caller wait while the service is away: python -m benchmarks.recording

Beside the client a loop of `json.dumps` is measured, three for each event, which takes about as long and
waits for nobody: what it shows beyond 1 ms is other programs having the processor.
"""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable
from typing import Any

from logservice.client import Client, Limits

CALLS = 100_000


def event(number: int) -> dict[str, Any]:
    """Return an event of fifteen fields, as a gateway sends it."""
    return {
        "username": "alice",
        "user_id": 7,
        "token_name": "laptop",
        "model_name": "gpt-4o",
        "channel_id": 3,
        "channel_name": "east",
        "group": "default",
        "quota": 100,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "use_time_ms": 1800,
        "is_stream": True,
        "request_id": f"r{number}",
        "content": "answered",
        "other": {"tags": ["a", "b"], "ratio": 1.5},
    }


def waits(record: Callable[[dict[str, Any]], object], clock: Callable[[], float]) -> str:
    """Return how long single calls took, in microseconds."""
    took = []
    for number in range(CALLS):
        given = event(number)
        started = clock()
        record(given)
        took.append((clock() - started) * 1e6)
    long, ordered = sum(one > 1000 for one in took), sorted(took)
    p50, p99, p999 = (ordered[int(CALLS * part)] for part in (0.5, 0.99, 0.999))
    return (
        f"first {took[0]:6.0f}  p50 {p50:4.0f}  p99 {p99:4.0f}  p99.9 {p999:6.0f}  max {ordered[-1]:6.0f}"
        f"  over 1 ms: {long}"
    )


def three_times_json(given: dict[str, Any]) -> None:
    """Do the work of about one `record` without a client."""
    for _ in range(3):
        json.dumps(given)


def measure(name: str, url: str | None) -> None:
    """Print a line by the clock on the wall, and one by the processor time of the caller."""
    for kind, clock in (("wall", time.perf_counter), ("processor", time.thread_time)):
        if url is None:
            print(f"{name:16} {kind:10}", waits(three_times_json, clock), flush=True)
            continue
        client = Client(url, "nobody-asks-for-it", limits=Limits(max_events=2 * CALLS))
        print(f"{name:16} {kind:10}", waits(client.record, clock), flush=True)
        assert client.counts.waiting == CALLS
        client.close(0.1)


def main() -> None:
    """Measure all three."""
    with socket.socket() as nobody, socket.socket() as hanging:
        for held in (nobody, hanging):
            held.bind(("127.0.0.1", 0))
        # Connections are completed by the system, and nobody ever answers.
        hanging.listen()
        measure("json.dumps", None)
        for name, held in (("nobody listens", nobody), ("service hangs", hanging)):
            measure(name, f"http://127.0.0.1:{held.getsockname()[1]}")


if __name__ == "__main__":
    # The client says that nobody takes its events, which is the point here.
    logging.disable()
    main()

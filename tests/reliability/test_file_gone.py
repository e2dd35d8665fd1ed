"""The place of the log goes while it is served, as a mount does: nobody begins another log meanwhile."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from benchmarks.processes import children
from tests.reliability.calls import Answer, assert_refused, call
from tests.serving import Service, serving


def test_a_worker_that_comes_while_the_log_is_away_begins_no_other(tmp_path: Path) -> None:
    """In a new log nobody is known, so that all would be refused; `logservice serve` has its workers so."""
    folder, away = tmp_path / "folder", tmp_path / "away"
    url = f"sqlite:///{folder / 'logservice.db'}"
    with serving(tmp_path, workers=1, url=url, environ={"LOGSERVICE_AUTO_CREATE": "0"}) as service:
        assert call(service, "POST", "/api/log/", {"content": "before"}).status == 200
        folder.rename(away)
        [worker] = children(service.process.pid)
        os.kill(worker, signal.SIGKILL)
        assert_refused(until_answered(service), "there is no log in")
        assert call(service, "GET", "/readyz").status == 503
        assert not folder.exists()
        away.rename(folder)
        assert call(service, "POST", "/api/log/", {"content": "after"}).status == 200
        assert call(service, "GET", "/api/log/").body["data"]["total"] == 2


def until_answered(service: Service) -> Answer:
    """Return the first answer of a worker that is just starting."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return call(service, "POST", "/api/log/", {"content": "refused"})
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)

"""The worker process: it stops once its master is gone."""

from __future__ import annotations

import os
from contextlib import closing

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from logservice.server_worker import Worker


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_worker_whose_master_is_gone_stops_as_at_a_sigterm(goes_on: bool) -> None:
    config = Config()
    master = os.getppid() if goes_on else os.getpid()
    worker = Worker(1, master, [], None, 30, config, Logger(config))

    with closing(worker.tmp):
        assert worker.is_parent_alive() is goes_on
        assert worker.alive is goes_on

"""More than the service can do: some are refused, soon and politely, and whatever is accepted is done."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from benchmarks.mixture import mixture
from benchmarks.offering import LOST, names_of
from benchmarks.overload import capacity, first_success, overload
from logservice.store import tables
from tests.rows import NOW
from tests.serving import TOKENS, open_store, serving
from tests.store_rows import buckets, rebuilt

#: How long it is too much.
SECONDS = float(os.environ.get("LOGSERVICE_TEST_OVERLOAD_SECONDS", "4"))
#: A worker and few threads, so that whoever asks has a processor left to ask with.
FEW = {"LOGSERVICE_THREADS": "4", "LOGSERVICE_ACCESS_LOG": "off", "LOGSERVICE_WAITING_TIME": "2"}


@pytest.mark.load
def test_what_is_too_much_is_refused_and_what_is_accepted_done(tmp_path: Path, db_url: str) -> None:
    """Three times as much, for in a few seconds twice as much hardly gathers."""
    with serving(tmp_path, workers=1, url=db_url, environ=FEW) as service:
        calm = capacity(service.port, TOKENS["root"], seconds=1, connections=4)
        rate = 3 * len(calm.answers) / calm.seconds
        storm = overload(service.port, TOKENS["root"], rate=rate, seconds=SECONDS)
        read = next(one for one in mixture(TOKENS["root"], now=NOW, mark="after") if one.kind == "read")
        first_success(service.port, read)
    assert set(calm.statuses()) == {200}
    assert set(storm.statuses()) == {200, 503}
    assert all(one.retry_after for one in storm.answers if one.status == 503)
    assert storm.statuses()[LOST] == 0
    acknowledged = names_of(calm.answers, 200) | names_of(storm.answers, 200)
    with closing(open_store(db_url)) as store:
        with store.reading() as connection:
            stored = set(connection.scalars(select(tables.records.c.request_id)))
        assert stored == acknowledged
        assert buckets(store) == rebuilt(store)

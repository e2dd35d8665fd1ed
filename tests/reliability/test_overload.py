"""More than the service can do: some are refused, soon and politely, and whatever is accepted is done."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from sqlalchemy import select

from benchmarks.mixture import mixture
from benchmarks.offering import LOST, names_of
from benchmarks.overload import first_success, overload
from logservice.store import tables
from tests.reliability import slow_disk
from tests.rows import NOW
from tests.serving import TOKENS, open_store, serving
from tests.store_rows import buckets, rebuilt

#: How long it is too much.
SECONDS = float(os.environ.get("LOGSERVICE_TEST_OVERLOAD_SECONDS", "4"))
#: On whatever machine, two threads and commits of a fifth of a second do no more than ten posts in a second,
#: and twenty requests of which half are posts. Three times as many are offered.
THREADS, COMMIT, OFFERED = 2, 0.2, 60


def test_what_is_too_much_is_refused_and_what_is_accepted_done(tmp_path: Path, db_url: str) -> None:
    slow = tmp_path / "slow"
    environ = {"LOGSERVICE_THREADS": str(THREADS), slow_disk.SLOW: str(slow)}
    app = "tests.reliability.slow_disk:create_app()"
    with serving(tmp_path, workers=1, url=db_url, environ=environ, app=app) as service:
        slow.write_text(str(COMMIT))
        storm = overload(service.port, TOKENS["root"], rate=OFFERED, seconds=SECONDS)
        read = next(one for one in mixture(TOKENS["root"], now=NOW, mark="after") if one.kind == "read")
        first_success(service.port, read)
    assert set(storm.statuses()) == {200, 503}
    assert all(one.retry_after for one in storm.answers if one.status == 503)
    assert storm.statuses()[LOST] == 0
    with closing(open_store(db_url)) as store:
        with store.reading() as connection:
            stored = set(connection.scalars(select(tables.records.c.request_id)))
        assert stored == names_of(storm.answers, 200)
        assert buckets(store) == rebuilt(store)

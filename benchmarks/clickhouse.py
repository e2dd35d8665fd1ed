"""What a log of millions of rows on ClickHouse answers: python -m benchmarks.clickhouse --rows 50000000

The engine is the one in this process, on a folder of its own. A first part of the rows is recorded in blocks,
as the service would, and tells how fast that is; the rest are copies of it further back in time, made by the
engine. Then the verbs of the store are timed as the routes call them, each in turn, several times.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from sqlalchemy import create_engine

from logservice.store import dialects, ids, opening, records
from logservice.store.clickhouse.store import ClickHouseStore
from logservice.store.clickhouse.tables import COLUMNS, quoted
from logservice.store.filters import Filters
from logservice.store.pages import Cursor
from logservice.store.queries import Query
from logservice.store.scope import Scope
from logservice.store.usage import Grouping

from .plan import say
from .rows import batches, history

BLOCK = 10_000
SITE, ALL = Scope.site(), Filters()
FIELDS = tuple(name for name in COLUMNS if name != "folded")
#: All rows together span so many seconds, whatever their number.
WHOLE = 90 * ids.DAY


def filled(store: ClickHouseStore, rows: int, recorded: int, *, end: int) -> float:
    """Store rows, and return how many a second were recorded."""
    copies = max(rows // recorded, 1)
    span = WHOLE // copies
    now = time.time()
    new = [records.from_mapping(row, now=now) for row in history(recorded, end=end)]
    first = min(record.second for record in new)
    for record in new:
        record.second = end - span + (record.second - first) * span // (end - first + 1)
    begun = time.perf_counter()
    for batch in batches(iter(new), BLOCK):
        store.record(batch)
    rate = recorded / (time.perf_counter() - begun)
    say(f"Recorded {recorded:,} rows in blocks of {BLOCK:,}: {rate:,.0f} rows/s")
    begun = time.perf_counter()
    for copy in range(1, copies):
        store.sessions.command(_copying(copy, end, span))
    copied = recorded * (copies - 1)
    say(f"Copied {copied:,} rows: {copied / max(time.perf_counter() - begun, 1e-9):,.0f} rows/s")
    return rate


def _copying(copy: int, end: int, span: int) -> str:
    """Return what copies the recorded rows to a span further back, each with a request of its own."""
    back = copy * span
    changed = {
        "id": f"id - {ids.first_id(back)}",
        "created_at": f"created_at - {back}",
        "request_id": f"if(request_id = '', '', lower(hex(cityHash64(id, {copy})) || hex(id)))",
    }
    columns = ", ".join(quoted(name) for name in COLUMNS)
    values = ", ".join(changed.get(name, quoted(name)) for name in COLUMNS)
    source = f"log_records WHERE created_at >= {end - span}"
    return f"INSERT INTO log_records ({columns}) SELECT {values} FROM {source}"


def questions(store: ClickHouseStore, *, end: int, rows: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is asked, as the routes ask it."""
    month = ids.between(end - 30 * ids.DAY, end)
    ever = ids.between()
    top = store.usage(Query(SITE, ALL, month), Grouping(("model_name",), size="requests", most=1)).groups
    model = Filters({"model_name": top[0]["model_name"]})
    who = store.usage(Query(SITE, ALL, month), Grouping(("user_id",), size="requests", most=1)).groups
    user = Scope.user(who[0]["user_id"])
    deep = rows // 40

    def page(scope: Scope, filters: Filters, number: int) -> Callable[[], object]:
        return lambda: store.page(scope, filters, ever, fields=FIELDS, page=number, page_size=20)

    def usage(
        by: tuple[str, ...], interval: str, span: ids.IdRange, zone: str = "UTC"
    ) -> Callable[[], object]:
        grouping = Grouping(by, interval, ZoneInfo(zone), most=100_000)
        return lambda: store.usage(Query(SITE, ALL, span), grouping)

    def search(keyword: str) -> Callable[[], object]:
        return lambda: store.search(SITE, ALL, ever, keyword, fields=FIELDS, limit=100)

    yield "stat over 30 days", lambda: store.statistics(SITE, ALL, month, asked=2)
    yield "stat over everything", lambda: store.statistics(SITE, ALL, ever, asked=2)
    yield "stat of a model over 30 days", lambda: store.statistics(SITE, model, month, asked=2)
    yield "stat of a user over 30 days", lambda: store.statistics(user, ALL, month, asked=2)
    yield "list with total, page 1", page(SITE, ALL, 1)
    yield f"list with total, page {deep:,}", page(SITE, ALL, deep)
    yield "list of a model, page 1", page(SITE, model, 1)
    yield "list of a model, page 20,000", page(SITE, model, 20_000)
    yield "list of a user, page 1", page(user, ALL, 1)
    yield "list of a user, page 100", page(user, ALL, 100)
    [newest] = store.newest(SITE, ALL, ever, fields=["id"], limit=1)
    yield (
        "list before a cursor",
        lambda: store.beside(
            SITE, ALL, ever, Cursor(before=newest["id"] - ids.first_id(20 * ids.DAY)), fields=FIELDS, limit=20
        ),
    )
    yield "search, no match", search("no such words anywhere")
    yield "search, a common word", search("error")
    yield "search, a model", search("gpt")
    yield "usage by model and day, 30 days", usage(("model_name",), "day", month)
    yield "usage by model and day, everything", usage(("model_name",), "day", ever, "Asia/Kolkata")
    yield "usage by user and day, 30 days", usage(("username",), "day", month)


@click.command()
@click.option("--rows", default=5_000_000, show_default=True)
@click.option("--recorded", default=1_000_000, show_default=True, help="Rows that are recorded one by one.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("instance/bench/clickhouse"))
@click.option("--keep", is_flag=True, help="Ask what an earlier run stored.")
@click.option("--rounds", default=5, show_default=True)
def main(rows: int, recorded: int, folder: Path, keep: bool, rounds: int) -> None:
    """Fill a folder, and say what it answers in which time."""
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "end"
    end = int(note.read_text()) if keep else (int(time.time()) - 1397) // 3600 * 3600 + 1397
    note.write_text(str(end))
    settings = dialects.engine_settings("sqlite:///metadata.db", str(folder.absolute()))
    store = opening.opened(
        create_engine(**settings), rows_url="clickhouse+chdb:///rows", folder=str(folder.absolute())
    )
    assert isinstance(store, ClickHouseStore)
    with closing(store):
        store.create()
        if not keep:
            filled(store, rows, recorded, end=end)
        held = store.count_all()
        size = store.space().tables["log_records"]
        say(f"{held:,} rows take {size:,} bytes, {size / held:.1f} each")
        for name, ask in questions(store, end=end, rows=held):
            taken = []
            for _ in range(rounds):
                begun = time.perf_counter()
                ask()
                taken.append(1000 * (time.perf_counter() - begun))
            say(f"{name:40} {statistics.median(taken):8.1f} ms, at most {max(taken):8.1f} ms")


if __name__ == "__main__":
    main()

"""Rows of a gateway, read and turned into records: here, or ahead of those being stored in another process.

Reading takes about as long as storing, and Python computes in one thread of a process at a time; with a
process of its own for reading, a large log moves in on two processors.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection

from ..errors import LogServiceError, Unavailable
from ..sources import gateways
from ..sources.gateways import GatewayRow
from ..store.records import Record
from .databases import GatewayDatabase, open_database
from .harvest import Harvest, gathered
from .position import Position

#: Rows in one transaction: a fifth of a second, so that the posts of others hardly notice.
BATCH = 4_000
#: From so many ids on a process of its own is worth the second that it takes to start.
MANY = 20_000


@dataclass(frozen=True, slots=True)
class Batch:
    """What some rows bring, refusals by their ids, and the position they lead to."""

    found: Harvest
    position: Position
    #: How many ids were passed, for showing how far it is.
    ids: int = 0


@dataclass(slots=True)
class Reader:
    """Reads the rows of a gateway; `channels` are the names of its channels by id."""

    database: GatewayDatabase
    clock: Callable[[], float] = time.time
    channels: Mapping[int, str] = field(default_factory=dict)

    def beyond(self, position: Position, newest: GatewayRow) -> Iterator[Batch]:
        """Yield the rows beyond a position, up to the end of the log; `newest` is its last row."""
        while rows := self.database.after(position.last, limit=BATCH, end=newest.id):
            following = position.beyond(rows, newest=newest, now=self.clock())
            yield self._batch(rows, following, ids=following.last - position.last)
            position = following

    def late(self, position: Position) -> Iterator[Batch]:
        """Yield the rows that lie in gaps by now."""
        for rows in self.database.among(position.gaps, limit=BATCH):
            position = position.without((row.id for row in rows), now=self.clock())
            yield self._batch(rows, position)

    def first(self, number: int, position: Position) -> Sequence[Record]:
        """Return some of the rows beyond a position."""
        return self._batch(self.database.after(position.last, limit=number), position).found.records

    def _batch(self, rows: Sequence[GatewayRow], position: Position, *, ids: int = 0) -> Batch:
        read = partial(
            gateways.record, flavour=self.database.flavour, channels=self.channels, now=self.clock()
        )
        return Batch(gathered((row.id, partial(read, row)) for row in rows), position, ids)


def ahead(reader: Reader, position: Position, newest: GatewayRow) -> Iterator[Batch]:
    """Yield what `reader.beyond` would, read by a process of its own while batches are being used.

    Raises Unavailable when that process fails.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(
        target=_send_all,
        args=(there, reader.database.url, dict(reader.channels), position, newest),
        daemon=True,
    )
    with _not_interrupted():
        process.start()
    # Only the process holds this end now: when it ends, whatever the reason, receiving fails.
    there.close()
    receiver = ThreadPoolExecutor(max_workers=1)
    try:
        # The next batch is unpacked while the disk takes the one before.
        receiving = receiver.submit(_received, here)
        while (received := receiving.result()) is not None:
            receiving = receiver.submit(_received, here)
            yield received
    finally:
        # First the process, which may be waiting for the database: then nothing is received any more.
        process.kill()
        process.join()
        receiver.shutdown()
        here.close()


@contextmanager
def _not_interrupted() -> Iterator[None]:
    """Have a process that is started now ignore Ctrl-C: when the one that stores ends, so does this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _received(connection: Connection) -> Batch | None:
    try:
        received: Batch | str | None = connection.recv()
    except (EOFError, OSError):
        raise Unavailable("the process that reads the gateway's database ended too early") from None
    if isinstance(received, str):
        raise Unavailable(received)
    return received


def _send_all(
    connection: Connection, url: str, channels: Mapping[int, str], position: Position, newest: GatewayRow
) -> None:
    """Send all batches, and None at the end; the text of an error instead. Ends when nobody receives."""
    try:
        with closing(open_database(url)) as database:
            for batch in Reader(database, channels=channels).beyond(position, newest):
                connection.send(batch)
        connection.send(None)
    except BrokenPipeError:
        return
    except LogServiceError as error:
        connection.send(str(error))

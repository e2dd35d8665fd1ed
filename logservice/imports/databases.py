"""The database of a gateway, read in transactions of one statement while the gateway goes on writing."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    CursorResult,
    Engine,
    Select,
    StaticPool,
    and_,
    column,
    create_engine,
    event,
    func,
    inspect,
    literal_column,
    make_url,
    null,
    or_,
    select,
    table,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from ..errors import InvalidValue, Unavailable
from ..extras import how_to_install
from ..sources import gateways
from ..sources.gateways import Flavour, GatewayRow
from ..store.filters import chunks
from .position import Gap

#: The drivers by the scheme of a URL, and the extra that brings each.
_DRIVERS = {
    "postgresql": ("postgresql+psycopg", "postgres"),
    "postgres": ("postgresql+psycopg", "postgres"),
    "mysql": ("mysql+pymysql", "mysql"),
    "mariadb": ("mysql+pymysql", "mysql"),
}
#: How gateways themselves are told about MySQL: user:password@tcp(host:port)/name?options.
_GO_DSN = re.compile(
    r"(?P<user>[^:@/]+)(?::(?P<password>.*))?"
    r"@tcp\((?P<host>\[[^\]]+\]|[^():]+)(?::(?P<port>[0-9]{1,5}))?\)/(?P<name>[^?]+)(?:\?.*)?"
)
T = TypeVar("T")

#: What SQLite's driver says of half a character, which a gateway stores as a client sent it.
_NO_TEXT = "Could not decode to UTF-8"
_BUSY_SECONDS = 30
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_GAPS_AT_ONCE = 200
_LARGEST_ID = 2**63 - 1
#: What gateways write behind the name of a MySQL database, for a driver of another language.
_GO_OPTIONS = frozenset(
    {
        *("allowNativePasswords", "charset", "collation", "loc", "multiStatements", "parseTime"),
        *("readTimeout", "timeout", "tls", "writeTimeout"),
    }
)

_LOGS = table("logs", *(column(name) for name in GatewayRow._fields))


class GatewayDatabase:
    """The log, the users, the tokens and the channels of a gateway.

    Every method raises Unavailable when the database fails.
    """

    def __init__(self, engine: Engine, url: str) -> None:
        """Look at the tables. Raises InvalidValue when the log or one of its columns is missing."""
        self._engine = engine
        self.url = url
        with self._connected() as connection:
            inspector = inspect(connection)
            self._tables = {
                name: {found["name"] for found in inspector.get_columns(name)}
                for name in ("logs", "users", "tokens", "channels")
                if inspector.has_table(name)
            }
            is_ours = inspector.has_table("log_records")
        if "logs" not in self._tables and is_ours:
            raise InvalidValue(
                "the database is a log of this service, and no gateway's: `logservice export -o rows.ndjson`,"
                " with LOGSERVICE_DATABASE_URL naming it, writes its rows into a file to import, and"
                " `logservice archive` moves old days with all their usage"
            )
        if "logs" not in self._tables:
            raise InvalidValue("the database has no table logs: it is neither new-api's nor one-api's")
        self.flavour: Flavour = gateways.recognise(self._tables["logs"])

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @property
    def has_accounts(self) -> bool:
        """Whether users and tokens are here: a gateway may keep its log in a database of its own."""
        return {"users", "tokens"} <= self._tables.keys()

    # -- logs ----------------------------------------------------------------------------------------------

    def newest(self) -> GatewayRow | None:
        """Return the row of the highest id."""
        last = self._logs().order_by(None).order_by(_LOGS.c.id.desc()).limit(1)
        return next(iter(self._rows(last)), None)

    def oldest_id(self) -> int | None:
        """Return the lowest id."""
        found: int | None = self._scalar(select(func.min(_LOGS.c.id)))
        return found

    def count_by_type(self, after: int) -> dict[int, int]:
        """Return how many rows with a time lie beyond an id, by the gateway's number of their kind."""
        kind = func.coalesce(_LOGS.c.type, literal_column("0"))
        storable = and_(_LOGS.c.id > after, _LOGS.c.created_at > 0)
        counted = select(kind, func.count()).where(storable).group_by(kind)
        return dict(map(tuple, self._all(counted)))

    def after(self, last: int, *, limit: int, end: int = _LARGEST_ID) -> list[GatewayRow]:
        """Return the next rows beyond an id, up to another, lowest first."""
        return self._rows(self._logs(_LOGS.c.id > last, _LOGS.c.id <= end).limit(limit))

    def among(self, gaps: Sequence[Gap], *, limit: int) -> Iterator[list[GatewayRow]]:
        """Yield the rows that lie in gaps, in lists of at most `limit`."""
        for start in range(0, len(gaps), _GAPS_AT_ONCE):
            some = gaps[start : start + _GAPS_AT_ONCE]
            inside = or_(*(_LOGS.c.id.between(gap.low, gap.high) for gap in some))
            last = 0
            while rows := self._rows(self._logs(inside, _LOGS.c.id > last).limit(limit)):
                yield rows
                last = rows[-1].id

    def with_ids(self, row_ids: Iterable[int]) -> list[GatewayRow]:
        """Return the rows of some ids, as far as there are any."""
        return [row for some in chunks(row_ids) for row in self._rows(self._logs(_LOGS.c.id.in_(some)))]

    def _logs(self, *where: ColumnElement[bool]) -> Select[Any]:
        """Return a statement for rows in the order of their ids; columns the table lacks are null."""
        there = self._tables["logs"]
        columns = (_LOGS.c[name] if name in there else null().label(name) for name in GatewayRow._fields)
        return select(*columns).select_from(_LOGS).where(and_(True, *where)).order_by(_LOGS.c.id)

    def _rows(self, statement: Select[Any]) -> list[GatewayRow]:
        """Return log rows as the driver gives them: a Row of SQLAlchemy's around each costs as much again."""
        return self._asked(lambda connection: _tuples(connection.execute(statement)))

    # -- whoever is in them --------------------------------------------------------------------------------

    def channels(self) -> dict[int, str]:
        """Return the names of channels by id."""
        return {row.id: row.name or "" for row in self._named("channels", "id", "name")}

    def users(self) -> list[Any]:
        """Return id, username, role, status, access_token and deleted_at of every user."""
        return self._named("users", "id", "username", "role", "status", "access_token", "deleted_at")

    def tokens(self) -> list[Any]:
        """Return id, user_id, name, key, status and deleted_at of every token."""
        return self._named("tokens", "id", "user_id", "name", "key", "status", "deleted_at")

    def _named(self, name: str, *wanted: str) -> list[Any]:
        """Return columns of a whole table: null for one that is not there, nothing where the table is not."""
        there = self._tables.get(name)
        if there is None:
            return []
        source = table(name, *map(column, wanted))
        columns = (source.c[one] if one in there else null().label(one) for one in wanted)
        return self._all(select(*columns).select_from(source))

    # -- statements ----------------------------------------------------------------------------------------

    def _all(self, statement: Select[*tuple[Any, ...]]) -> list[Any]:
        return self._asked(lambda connection: list(connection.execute(statement).all()))

    def _scalar(self, statement: Select[Any]) -> Any:
        return self._asked(lambda connection: connection.scalar(statement))

    def _asked(self, ask: Callable[[Connection], T]) -> T:
        """Ask for something; once more and leniently where SQLite holds text that is none."""
        try:
            with self._connected() as connection:
                return ask(connection)
        except Unavailable as error:
            if _NO_TEXT not in str(error):
                raise
        with self._connected() as connection:
            driver: Any = connection.connection.driver_connection
            driver.text_factory = lambda text: text.decode(errors="replace")
            return ask(connection)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise Unavailable(f"the gateway's database: {_said(error)}") from error


def open_database(url: str) -> GatewayDatabase:
    """Open a database by its URL, for reading only.

    Also takes the way gateways are told about MySQL. Raises InvalidValue for a URL that names no database we
    can read, and Unavailable when it cannot be reached.
    """
    engine = _engine(_parsed(url))
    try:
        return GatewayDatabase(engine, url)
    except BaseException:
        engine.dispose()
        raise


def _parsed(url: str) -> URL:
    if found := _GO_DSN.fullmatch(url):
        port = int(found["port"] or 3306)
        host = found["host"].strip("[]")
        return URL.create("mysql", found["user"], found["password"], host, port=port, database=found["name"])
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise InvalidValue(
            "the URL cannot be read; sqlite:///path, postgresql://user:password@host/name "
            "and mysql://user:password@host/name can"
        ) from None


def _engine(url: URL) -> Engine:
    scheme = url.get_backend_name()
    if scheme == "sqlite":
        return _sqlite_engine(url)
    if scheme not in _DRIVERS:
        raise InvalidValue(
            f"{scheme[:40]}: no database that can be imported; sqlite, postgresql and mysql can"
        )
    driver, extra = _DRIVERS[scheme]
    settings, query = (_MYSQL, _mysql_options(url)) if extra == "mysql" else (_POSTGRESQL, url.query)
    try:
        return create_engine(
            url.set(drivername=driver, query=query),
            isolation_level="AUTOCOMMIT",
            connect_args={**settings},
        )
    except (ImportError, NoSuchModuleError):
        raise InvalidValue(f"{scheme}: needs {how_to_install(extra)}") from None


#: A network that went silent is noticed, and a statement does not take for ever.
_POSTGRESQL = {
    "connect_timeout": _CONNECT_SECONDS,
    "client_encoding": "utf8",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "options": f"-c statement_timeout={_READ_SECONDS}s",
}
_MYSQL = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}


def _mysql_options(url: URL) -> dict[str, str]:
    """Return the options of a URL that mean something to our driver; those of a gateway's are passed over."""
    options = {name: str(value) for name, value in url.query.items() if name not in _GO_OPTIONS}
    if unknown := sorted(options.keys() - {"ssl_ca", "ssl_cert", "ssl_key", "unix_socket"}):
        raise InvalidValue(f"the URL has an option that is not known here: {unknown[0][:40]}")
    for name, path in options.items():
        if not Path(path).exists():
            raise InvalidValue(f"{name}: {path}: there is no such file")
    return options | {"charset": "utf8mb4"}


def _sqlite_engine(url: URL) -> Engine:
    path = Path(url.database or "")
    if not path.is_file():
        raise InvalidValue(f"{path}: there is no such file")
    read_only = URL.create(
        "sqlite", database=f"file:{quote(str(path.absolute()))}", query={"mode": "ro", "uri": "true"}
    )
    engine = create_engine(
        read_only, poolclass=StaticPool, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None

    return engine


def _tuples(result: CursorResult[Any]) -> list[GatewayRow]:
    return [*map(GatewayRow._make, result.cursor.fetchall())] if result.cursor is not None else []


def _said(error: BaseException) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())

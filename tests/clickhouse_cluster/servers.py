"""A cluster of ClickHouse servers for the tests, which begins with a block and is gone after it.

    with private() as cluster:
        cluster.nodes[0].rows("SELECT 1 AS one")

Two shards with two replicas each, and the ZooKeeper that replicas agree through. The servers are those of
Debian's packages, and so old (18.16) that the driver of the store does not speak with them: they are asked
over HTTP, in lines of JSON.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from tests.private_servers import (
    NoServer,
    ServerProcess,
    at_the_end,
    fitting_place,
    give_to_account,
    new_folder,
)
from tests.processes import free_port

HOST = "127.0.0.1"
#: What the cluster is called in its servers' configuration.
NAME = "tests"
SHARDS = REPLICAS = 2
#: Where Debian keeps the server, which the PATH of others lacks; ZooKeeper, and what its log is written with.
SERVER = Path("/usr/sbin/clickhouse-server")
ZOOKEEPER = Path("/usr/share/java/zookeeper.jar")
_JAVA_LOG = ZOOKEEPER.with_name("slf4j-simple.jar")
#: Seconds until a statement has to be answered, one that all servers carry out among them.
ANSWER_SECONDS = 30
# Those until a server does not do what the cluster is told.
_TOLD_SECONDS = 10
# Milliseconds after which a server that does not answer counts as gone, and those between two looks.
_SESSION, _TICK = 3_000, 500

Row = dict[str, Any]


class NoCluster(NoServer):
    """There is no cluster to be had; the message says why, and how to get one."""

    engine = "ClickHouse cluster"


class Refused(Exception):
    """A server did not do what it was asked for; the message is its own."""


@dataclass(frozen=True)
class Node:
    """A server of the cluster, one of the replicas of its shard; both are counted from 1."""

    shard: int
    replica: int
    port: int
    process: ServerProcess

    @property
    def is_running(self) -> bool:
        """Whether the server was started and not killed since."""
        return self.process.process_id is not None

    def rows(self, statement: str, **settings: Any) -> list[Row]:
        """Return what a statement finds. Raises Refused, or OSError where the server does not answer."""
        answer = self.ask(statement, settings={"default_format": "JSONEachRow", **settings})
        return [json.loads(line) for line in answer.splitlines()]

    def insert(self, table: str, rows: Iterable[Mapping[str, Any]], **settings: Any) -> None:
        """Insert a block of rows, and return once the server has done it. Raises as `rows` does."""
        block = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self.ask(f"INSERT INTO {table} FORMAT JSONEachRow", data=block, settings=settings)

    def ask(self, statement: str, *, data: str | None = None, settings: Mapping[str, Any]) -> str:
        """Return the answer to a statement as it is, which `data` may follow. Raises as `rows` does."""
        asked = {"wait_end_of_query": 1, "output_format_json_quote_64bit_integers": 0, **settings}
        if data is not None:
            asked["query"] = statement
        request = urllib.request.Request(
            f"http://{HOST}:{self.port}/?{urllib.parse.urlencode(asked)}",
            (statement if data is None else data).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(error.read().decode(errors="replace").strip()) from None


@dataclass(frozen=True)
class Cluster:
    """The servers, shard by shard."""

    nodes: tuple[Node, ...]
    coordination: ServerProcess

    def shard(self, number: int) -> list[Node]:
        """Return the servers of a shard, its replicas in order."""
        return [node for node in self.nodes if node.shard == number]

    def revive(self) -> None:
        """Start what was killed; where a server does not do what the cluster is told, start all anew.

        Servers of this version that come back on a busy machine now and then wait for such work in vain.
        """
        for node in self.nodes:
            if not node.is_running:
                node.process.start()
        if not self._does_what_it_is_told():
            for node in self.nodes:
                node.process.kill()
                node.process.start()

    def _does_what_it_is_told(self) -> bool:
        try:
            statement = f"CREATE DATABASE IF NOT EXISTS told ON CLUSTER {NAME}"
            self.nodes[0].ask(statement, settings={"distributed_ddl_task_timeout": _TOLD_SECONDS})
        except (Refused, OSError):
            return False
        return True


@contextmanager
def private() -> Iterator[Cluster]:
    """Run a cluster of our own on new data folders, which are removed at the end.

    It listens on this machine alone. Anybody there may enter: replicas of this version pass a deletion on to
    each other without a password.
    """
    java = _programs()
    with at_the_end() as ending:
        home = new_folder(ending, fitting_place(durable=False), name="clickhouse")
        coordinator, *ports = _free_ports(1 + 3 * SHARDS * REPLICAS)
        coordination = _coordination(java, home, coordinator)
        # At the end nobody needs the data any more: there is nothing to be put in order.
        ending.callback(coordination.kill)
        coordination.start()
        places = [
            (shard, replica, ports.pop(), ports.pop(), ports.pop())
            for shard in range(1, SHARDS + 1)
            for replica in range(1, REPLICAS + 1)
        ]
        servers = _remote_servers([(shard, tcp) for shard, _, _, tcp, _ in places])
        nodes = []
        for shard, replica, http, tcp, interserver in places:
            folder = _new_folder(home / f"{shard}-{replica}")
            given = {"http_port": http, "tcp_port": tcp, "interserver_http_port": interserver}
            macros = {"shard": shard, "replica": replica}
            settings = _SERVER | given | {"macros": macros, "zookeeper": _zookeeper(coordinator)}
            _write(folder / "config.xml", _xml("yandex", settings | _paths(folder) | servers))
            _write(folder / "users.xml", _xml("yandex", _USERS))
            process = _server(folder, http)
            ending.callback(process.kill)
            nodes.append(Node(shard, replica, http, process))
        for node in nodes:
            node.process.start()
        yield Cluster(tuple(nodes), coordination)


# Tests lose processes, never the power; and the machine has other things to do.
_SERVER: dict[str, Any] = {
    "listen_host": HOST,
    "interserver_http_host": HOST,
    "logger": {"level": "warning", "console": 1},
    "default_profile": "default",
    "default_database": "default",
    "users_config": "users.xml",
    "timezone": "UTC",
    "mark_cache_size": 2**26,
    "keep_alive_timeout": 3,
    "distributed_ddl": {"path": "/clickhouse/task_queue/ddl"},
}
_PROFILE: dict[str, Any] = {
    # What was stored is read at once: both are done on the first replica of a shard that answers.
    "load_balancing": "in_order",
    "prefer_localhost_replica": 0,
    # A partition is dropped when it is so on every replica: nobody adds up its rows and their kept usage.
    "replication_alter_partitions_sync": 2,
    "max_threads": 2,
    "background_pool_size": 4,
    # Loopback refuses at once; whoever answers late does so because the machine is busy.
    "connect_timeout_with_failover_ms": 5_000,
    "distributed_ddl_task_timeout": ANSWER_SECONDS,
}


_USERS = {
    "profiles": {"default": _PROFILE},
    "users": {
        "default": {"password": "", "networks": {"ip": HOST}, "profile": "default", "quota": "default"}
    },
    "quotas": {"default": {}},
}


def _paths(folder: Path) -> dict[str, Any]:
    kinds = {"path": "data", "tmp_path": "tmp", "user_files_path": "files", "format_schema_path": "formats"}
    return {name: f"{folder / place}/" for name, place in kinds.items()}


def _zookeeper(port: int) -> dict[str, Any]:
    return {"node": {"host": HOST, "port": port}, "session_timeout_ms": _SESSION}


def _remote_servers(places: list[tuple[int, int]]) -> dict[str, Any]:
    """Return the cluster as each of its servers knows it: a block goes to one replica, which hands it on."""
    shards = [
        {
            "internal_replication": "true",
            "replica": [{"host": HOST, "port": port} for place, port in places if place == shard],
        }
        for shard in sorted({shard for shard, _ in places})
    ]
    return {"remote_servers": {NAME: {"shard": shards}}}


def _xml(name: str, value: Any) -> str:
    """Write a configuration: mappings are elements in elements, and lists elements that come again."""
    if isinstance(value, list):
        return "".join(_xml(name, one) for one in value)
    if isinstance(value, Mapping):
        value = "".join(_xml(inner, one) for inner, one in value.items())
    else:
        value = escape(str(value))
    return f"<{name}>{value}</{name}>\n"


def _server(folder: Path, port: int) -> ServerProcess:
    return ServerProcess(
        [SERVER, f"--config-file={folder / 'config.xml'}"],
        folder,
        partial(_answers, port, b"GET /ping HTTP/1.0\r\n\r\n", b"Ok."),
        requests=(signal.SIGTERM, signal.SIGKILL),
        failed=NoCluster,
    )


def _coordination(java: str, home: Path, port: int) -> ServerProcess:
    """Return the process of a ZooKeeper that is alone and writes nothing but its data."""
    folder = _new_folder(home / "zookeeper")
    settings = {
        "dataDir": folder / "data",
        "clientPort": port,
        "clientPortAddress": HOST,
        "tickTime": _TICK,
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "srvr",
        "forceSync": "no",
        "maxClientCnxns": 0,
    }
    _write(folder / "zoo.cfg", "".join(f"{name}={value}\n" for name, value in settings.items()))
    flags = (
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dzookeeper.jmx.log4j.disable=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    )
    program = "org.apache.zookeeper.server.ZooKeeperServerMain"
    return ServerProcess(
        [java, *flags, "-cp", f"{ZOOKEEPER}:{_JAVA_LOG}", program, folder / "zoo.cfg"],
        folder,
        partial(_answers, port, b"srvr", b"Mode: standalone"),
        requests=(signal.SIGTERM, signal.SIGKILL),
        failed=NoCluster,
    )


def _answers(port: int, question: bytes, answer: bytes) -> bool:
    """Whether who listens on a port gives an answer to a question, and then closes."""
    said = b""
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(question)
            while part := connection.recv(4096):
                said += part
    except OSError:
        return False
    return answer in said


def _programs() -> str:
    """Return the path of Java, after a look whether the servers are there."""
    java = shutil.which("java")
    if java is None or not SERVER.exists() or not ZOOKEEPER.exists():
        raise NoCluster(
            f"`java`, {SERVER} and {ZOOKEEPER} are not all there; Debian 12's "
            "`apt install clickhouse-server libzookeeper-java default-jre-headless` brings them, and may "
            "start a service: `systemctl disable --now clickhouse-server` ends it"
        )
    return java


def _new_folder(path: Path) -> Path:
    path.mkdir(mode=0o700)
    give_to_account(path)
    return path


def _write(path: Path, text: str) -> None:
    """Write a file that the server's account alone may read."""
    path.touch(mode=0o600)
    path.write_text(text)
    give_to_account(path)


def _free_ports(number: int) -> list[int]:
    found: set[int] = set()
    while len(found) < number:
        found.add(free_port())
    return list(found)

"""The private cluster leaves nothing behind, and is told of where there is none; its driver hides little."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from logservice.store.clickhouse import sessions, sums
from logservice.store.clickhouse.selecting import Selection
from logservice.store.clickhouse.tables import Layout
from logservice.store.queries import Query
from tests.clickhouse_cluster.driver import OTHER_WORDS, UNKNOWN_SETTINGS, Dialect, translated
from tests.clickhouse_cluster.servers import NAME, Cluster, NoCluster, Refused, private
from tests.private_servers import required
from tests.store_rows import ALL, EVER, SITE

pytestmark = pytest.mark.clickhouse


def folder_of(process_id: int | None) -> Path:
    return Path(f"/proc/{process_id}/cwd").readlink()


def test_nothing_is_left_after_the_block() -> None:
    with required(private()) as cluster:
        processes = [*(node.process.process_id for node in cluster.nodes), cluster.coordination.process_id]
        folders = {folder_of(process_id).parent for process_id in processes}
        assert len(folders) == 1
        assert all(folder.exists() for folder in folders)
    assert not any(Path(f"/proc/{process_id}").exists() for process_id in processes)
    assert not any(folder.exists() for folder in folders)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as somebody else")
def test_root_runs_them_as_somebody_else(cluster: Cluster) -> None:
    for process in (cluster.nodes[0].process, cluster.coordination):
        assert Path(f"/proc/{process.process_id}").stat().st_uid != 0
        assert folder_of(process.process_id).parent.stat().st_mode & 0o777 == 0o700


def test_servers_are_started_anew_where_one_does_nothing(cluster: Cluster) -> None:
    hung = cluster.nodes[-1]
    assert hung.process.process_id is not None
    os.kill(hung.process.process_id, signal.SIGSTOP)

    cluster.revive()

    hung.ask(f"CREATE DATABASE IF NOT EXISTS revived ON CLUSTER {NAME}", settings={})
    assert [
        node.rows("SELECT count() AS found FROM system.databases WHERE name = 'revived'")
        for node in cluster.nodes
    ] == [[{"found": 1}]] * 4


def test_missing_servers_are_told_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tests.clickhouse_cluster.servers.SERVER", tmp_path / "clickhouse-server")
    with pytest.raises(NoCluster, match="apt install clickhouse-server"), private():
        pass


def test_what_a_server_refuses_is_told_in_its_words(cluster: Cluster) -> None:
    with pytest.raises(Refused, match="nowhere doesn't exist"):
        cluster.nodes[0].rows("SELECT * FROM nowhere.nothing")


def test_nothing_is_put_in_other_words_that_the_store_does_not_say() -> None:
    shape = Selection(Query(SITE, ALL, EVER)).shape
    said = [
        *Layout("log", NAME).statements(),
        "DELETE FROM `log`.`log_records_local` WHERE id = 1",
        sums._statistics.compiled(Dialect(paramstyle="pyformat"), shape).sql,
    ]
    for pattern, _ in OTHER_WORDS:
        assert any(pattern.search(statement) for statement in said), pattern.pattern
    assert translated("SELECT `id` FROM `log_records`") == "SELECT `id` FROM `log_records`"


def test_no_setting_is_left_out_that_the_servers_know(cluster: Cluster) -> None:
    known = {row["name"] for row in cluster.nodes[0].rows("SELECT name FROM system.settings")}
    assert known.isdisjoint(UNKNOWN_SETTINGS)
    assert set(sessions._SETTINGS) - known <= set(UNKNOWN_SETTINGS)

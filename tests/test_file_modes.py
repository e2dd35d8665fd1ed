"""Files and folders are their owner's alone, whatever the umask, and no secret is a usable default."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from logservice.folders import make_private, open_beside
from tests.commands import app_in, assert_done, invoke
from tests.reliability.nobody import IS_ROOT, NOBODY
from tests.serving import Service, send, serving


@pytest.fixture
def no_umask() -> Iterator[None]:
    """Take nothing away from the modes that files are made with, here and in programs started from here."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): mode(path) for path in folder.rglob("*") if not path.is_symlink()}


def use(service: Service) -> None:
    """Have a service make all files that it makes while it runs."""
    connection = service.open()
    sent = {"username": "alice", "created_at": "2023-11-14T00:00:00Z", "content": "kept"}
    assert send(connection, "POST", "/api/log/", user="gateway", body=sent)[0] == 200
    assert send(connection, "GET", "/api/log/token")[0] == 200
    connection.close()


@pytest.mark.usefixtures("no_umask")
def test_all_that_is_written_is_its_owner_s_alone(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "instance"
    figures = tmp_path / "figures" / "of" / "workers"
    with serving(folder, workers=1, environ={"PROMETHEUS_MULTIPROC_DIR": str(figures)}) as service:
        use(service)
        found = modes(tmp_path)
    other = tmp_path / "commands" / "instance"
    assert_done(invoke(other, "demo", "--rows", "200"))
    assert_done(invoke(other, "init-db"))
    line = '{"username": "alice", "created_at": 1700000000}\n'
    source = tmp_path / "source.ndjson"
    with os.fdopen(os.open(source, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(line)
    assert invoke(other, "import", str(source)).exit_code == 0
    assert_done(invoke(other, "export", "--output", str(other / "out.csv")))
    assert_done(invoke(other, "backup", str(other / "copy.db")))
    assert invoke(other, "archive", str(other / "archive"), "--older-than", "2024-01-01").exit_code == 0
    found |= modes(tmp_path)

    files = {name for name in found if (tmp_path / name).is_file() or "." in name.rpartition("/")[2]}
    ours = {name.rpartition("instance/")[2] for name in files}
    assert {"logservice.db", "logservice.db-wal", "logservice.db-shm", "logservice.db-lock"} <= ours
    assert {
        "logservice-ratelimit",
        "demo.db",
        "log.db",
        "out.csv",
        "copy.db",
        "archive/rows/2023-11-14.parquet",
    } <= ours
    # The files of figures are made by prometheus_client, in a folder that nobody else may enter.
    others = {name: oct(mode) for name, mode in found.items() if mode & 0o077 and "figures/" not in name}
    assert others == {}
    assert found["figures"] == found["figures/of/workers"] == 0o700


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("no_umask")
def test_a_folder_that_is_there_and_in_use_keeps_its_mode(tmp_path: Path) -> None:
    used = tmp_path / "used"
    used.mkdir(mode=0o750)
    make_private(used / "a" / "b")
    make_private(used)
    assert (mode(used), mode(used / "a"), mode(used / "a" / "b")) == (0o750, 0o700, 0o700)


@pytest.mark.usefixtures("no_umask")
def test_the_folder_of_a_checkout_is_closed_at_the_first_start(tmp_path: Path) -> None:
    instance = tmp_path / "instance"
    instance.mkdir(mode=0o755)
    (instance / ".gitignore").write_text("*\n")
    assert_done(invoke(instance, "init-db"))
    assert mode(instance) == 0o700


def test_what_root_makes_beside_a_database_belongs_to_the_account_that_owns_it(tmp_path: Path) -> None:
    """Whoever is not root can only see that it works at all."""
    owner = NOBODY if IS_ROOT else os.geteuid()
    assert_done(invoke(tmp_path, "init-db"))
    (tmp_path / "log.db-lock").unlink()
    for path in (tmp_path, tmp_path / "log.db"):
        os.chown(path, owner, -1)

    assert_done(invoke(tmp_path, "user", "add", "alice"))
    assert_done(invoke(tmp_path, "check"))
    app = app_in(tmp_path)
    app.test_client().get("/api/log/token?key=sk-unknown")
    app.extensions["logservice"].store.close()

    owners = {path.name: path.stat().st_uid for path in tmp_path.iterdir()}
    assert {"log.db-lock", "logservice-ratelimit"} <= owners.keys()
    assert set(owners.values()) == {owner}


def test_a_file_that_is_there_already_is_not_given_away(tmp_path: Path) -> None:
    """By a link in its folder an account could have root give it any file."""
    like, there, link = tmp_path / "like", tmp_path / "there", tmp_path / "link"
    like.touch()
    there.touch()
    link.symlink_to(there)
    if IS_ROOT:
        os.chown(like, NOBODY, -1)
    for path in (there, link):
        os.close(open_beside(path, like))
    assert there.stat().st_uid == os.geteuid()


def test_every_start_makes_secrets_of_its_own_and_keeps_their_hashes_alone(tmp_path: Path) -> None:
    printed = [assert_done(invoke(tmp_path, "demo", "--rows", "50")) for _ in range(2)]
    secrets = [set(re.findall(r"(?:sk-)?[\w-]{43}(?![\w-])", text)) for text in printed]
    assert [len(made) for made in secrets] == [5, 5]
    assert secrets[0].isdisjoint(secrets[1])
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [
        secret for made in secrets for secret in made if secret.removeprefix("sk-").encode() in stored
    ]

"""A place where nothing may be written any more: posts and commands say so, reads go on, and all recovers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import assert_done, assert_error, invoke
from tests.reliability.calls import assert_reading, assert_refused, assert_sound, post
from tests.reliability.disks import mounted
from tests.reliability.nobody import ENVIRON, IS_ROOT, NOBODY
from tests.serving import serving

COMMAND = """
import sys
from flask.cli import ScriptInfo
from logservice.cli import logservice
from tests.reliability import nobody
app = nobody.create_app()
nobody.become()
logservice(sys.argv[1:], obj=ScriptInfo(create_app=lambda: app))
"""


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give a folder that everybody may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            writable(folder)


def writable(folder: Path) -> None:
    """Let the workers write what is in a folder."""
    _give(folder, NOBODY if IS_ROOT else os.geteuid(), folder=0o755, file=0o644)


def read_only(folder: Path) -> None:
    """Let nobody write there."""
    _give(folder, os.geteuid(), folder=0o555, file=0o444)


def _give(place: Path, owner: int, *, folder: int, file: int) -> None:
    for path in (place, *place.iterdir()):
        os.chown(path, owner, -1)
        path.chmod(folder if path.is_dir() else file)


def test_where_nothing_may_be_written_posts_are_refused_until_they_may_again() -> None:
    with open_folder() as folder:
        url = f"sqlite:///{folder / 'logservice.db'}"
        # Empty at first, so that they are the workers' own from the start.
        for name in ("logservice.db", "logservice.db-lock"):
            (folder / name).touch()
        writable(folder)
        # The master makes the folder of figures for itself alone.
        environ = {"LOGSERVICE_METRICS": "0", **ENVIRON}
        app = "tests.reliability.nobody:create_app()"
        with serving(folder, workers=1, url=url, environ=environ, app=app) as service:
            assert post(service, "before").status == 200
            read_only(folder)
            assert_refused(post(service, "refused"), "Permission denied")
            assert_refused(post(service, "refused too"), "Permission denied")
            assert_reading(service)
            assert "Permission denied" in service.printed()
            assert "Permission denied" in refused_command(folder, url, "user", "add", "carol")
            writable(folder)
            assert post(service, "after").status == 200
        assert_sound(url, {"before", "after"})


def test_commands_that_read_do_so_on_a_file_system_that_is_read_only(tmp_path: Path) -> None:
    with mounted(tmp_path, size=2**24) as disk:
        if disk is None:
            # Root writes to what is read-only by its mode alone, so there is no other way to have it.
            pytest.skip("nobody may mount anything here")
        assert_done(invoke(tmp_path, "init-db"))
        invoke(tmp_path, "import", "-", input='{"quota": 7}\n')
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)

        assert json.loads(assert_done(invoke(tmp_path, "export")))["quota"] == 7
        assert "Sound" in assert_done(invoke(tmp_path, "check"))
        assert_error(invoke(tmp_path, "user", "add", "bob"), "log.db-lock: Read-only file system")


def refused_command(folder: Path, url: str, *command: str) -> str:
    """Return the one line that a command ends with that failed."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *command],
        env={**os.environ, "LOGSERVICE_INSTANCE_PATH": str(folder), "LOGSERVICE_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    return done.stderr

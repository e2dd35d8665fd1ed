"""Every block of shell commands of the README and of the quick start is run, from the clone on."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.documents import ADDRESS, ROOT, blocks
from tests.first_run import free_url, settings_for, token_in, wait_for
from tests.gateways.flavours import create, engine_of, fill
from tests.postgresql_server import Server

#: What `make` would install, which takes minutes: it finds a command that runs this very source instead.
_COMMAND = f"""#!/bin/sh
PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -P -m logservice "$@"
"""
#: Stands in for pip, which has nowhere to take this from: it fails on an extra that is not known.
_PIP = f"""#!{sys.executable}
import configparser, sys
known = configparser.ConfigParser()
known.read({str(ROOT / "setup.cfg")!r})
extra = sys.argv[-1].removeprefix(".[").removesuffix("]")
sys.exit(sys.argv[1] != "install" or extra not in known["options.extras_require"])
"""


class Newcomer:
    """Somebody with an empty folder who types what a page shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = free_url()
        self.checkout = folder / "logservice"
        programs = folder / "programs"
        _write_program(programs / "pip", _PIP)
        _write_program(folder / "venv" / "bin" / "logservice", _COMMAND)
        (folder / "venv" / "bin" / "activate").touch()
        settings = folder / "gitconfig"
        # The clone is one of this repository, whoever owns its files.
        settings.write_text(
            f'[url "{ROOT}"]\ninsteadOf = https://example.org/logservice.git\n[safe]\ndirectory = *\n'
        )
        path = f"{self.checkout / '.venv' / 'bin'}:{programs}:{os.environ['PATH']}"
        instance = self.checkout / "instance"
        self.environ = settings_for(instance, self.url) | {"GIT_CONFIG_GLOBAL": str(settings), "PATH": path}

    @contextmanager
    def serving(self, script: str, url: str, *, folder: Path) -> Iterator[str]:
        """Run a block that ends in a service, and yield what it printed before it answered."""
        printed = self.folder / "served"
        command = ["bash", "-euc", script]
        with printed.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=folder, env=self.environ, stdout=output, stderr=output, start_new_session=True
            )
        try:
            wait_for(url, process)
            yield printed.read_text("utf-8")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=40)

    def clone_and_run(self, script: str) -> str:
        """Return the first block with what saves `make` the installation."""
        clone, _, rest = script.partition("\n")
        assert clone.startswith("git clone ")
        prepared = shlex.quote(str(self.folder / "venv"))
        return f"{clone}\ncp -r {prepared} .venv && touch .venv/.installed\n{rest}"

    def types(self, script: str) -> str:
        """Run blocks in one shell, in the folder of the checkout; return what they printed.

        `NAME=the-access-token-of-SOMEBODY` stands for the last one that was printed.
        """
        said = self.folder / "said"
        last = f"$(grep -oE '[A-Za-z0-9_-]{{43}}' {shlex.quote(str(said))} | tail -n 1)"
        script = re.sub(r"(?m)^(\w+)=the-access-token-of-\w+$", lambda found: f"{found[1]}={last}", script)
        script = script.replace(ADDRESS, self.url).replace("curl ", "curl -fsS -w '\\n' ")
        with said.open("wb") as output:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=self.checkout,
                env=self.environ,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                timeout=300,
                check=False,
            )
        assert done.returncode == 0, done.stderr
        return said.read_text("utf-8")


def _write_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)


def _scripts(name: str) -> list[str]:
    return [block.text for block in blocks(name) if block.language == "sh"]


def _answers(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("{")]


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    return Newcomer(tmp_path)


def test_every_block_of_the_quick_start_works(newcomer: Newcomer) -> None:
    first, *others = _scripts("docs/quickstart.md")
    with newcomer.serving(newcomer.clone_and_run(first), newcomer.url, folder=newcomer.folder) as printed:
        script = "".join(others).replace("the-access-token\n", f"{token_in(printed)}\n")
        said = newcomer.types(script)
    ready, posted, page, stat, usage, search, own, by_key = _answers(said)
    assert ready == '{"success":true,"message":"","data":"ok"}'
    assert '"accepted":2' in posted
    assert ('"total":2' in page, '"quota":1200' in stat, '"rows":1' in usage) == (True, True, True)
    assert "429" in search
    assert ("went well" in own, "429" in own, "went well" in by_key) == (True, False, True)
    assert "Deleted 0 rows." in said


@pytest.fixture
def gateway_urls(tmp_path: Path, postgresql: Server) -> Iterator[dict[str, str]]:
    """The same gateway twice, as the README names it: in a file, and moved to a server."""
    names = [f"{word}_{uuid.uuid4().hex[:12]}" for word in ("newapi", "logservice")]
    for name in names:
        postgresql.create_database(name)
    gateway, ours = map(postgresql.url, names)
    file = tmp_path / "one-api.db"
    for url in (f"sqlite:///{file}", gateway):
        engine = engine_of(url)
        create(engine, "new-api-2026")
        fill(engine, "new-api-2026", rows=100)
        with engine.begin() as connection:
            # Rows that are reported, by design, with a status of 1.
            connection.execute(
                text("DELETE FROM logs WHERE created_at IS NULL OR created_at = 0 OR type IN (-1, 42)")
            )
        engine.dispose()
    yield {
        "/data/one-api.db": str(file),
        "postgresql://reader:secret@db.example.org/newapi": gateway,
        "postgresql://logservice:secret@db.example.org/logservice": ours,
    }
    for name in names:
        postgresql.drop_database(name)


def test_every_block_of_the_readme_works(newcomer: Newcomer, gateway_urls: dict[str, str]) -> None:
    first, *others, last = _scripts("README.md")
    script = "".join(others).replace("/backup/", f"{newcomer.folder}/backup/")
    for shown, real in gateway_urls.items():
        script, last = script.replace(shown, shlex.quote(real)), last.replace(shown, shlex.quote(real))
    with newcomer.serving(newcomer.clone_and_run(first), newcomer.url, folder=newcomer.folder) as printed:
        (newcomer.folder / "backup").mkdir()
        (newcomer.checkout / "events.ndjson").write_text('{"username": "bob", "quota": 7}\n')
        said = newcomer.types(script.replace("TOKEN=the-access-token\n", f"TOKEN={token_in(printed)}\n"))
    answers = _answers(said)
    assert len(answers) == 5
    assert all('"success":true' in answer for answer in answers)
    assert all("a call that went well" in answer for answer in (answers[1], answers[3], answers[4]))
    assert (newcomer.checkout / "october.csv").read_bytes().startswith(b"id,")
    assert (newcomer.checkout / "alice.ndjson.gz").read_bytes().startswith(b"\x1f\x8b")
    newcomer.environ["LOGSERVICE_BIND"] = (another := free_url()).removeprefix("http://")
    with newcomer.serving(last, another, folder=newcomer.checkout) as printed:
        assert "This is the first start" in printed

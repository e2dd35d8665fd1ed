"""The wheel, in an environment that has nothing else: it serves, records, answers, and is a guest."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.page_urls import loaded
from tests.processes import free_port

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "logservice"

# What each example does first, with the application that it makes.
TRYING = """
import importlib.util, json, sys
from pathlib import Path
import logservice

assert Path(logservice.__file__).is_relative_to(sys.prefix), logservice.__file__


def example(name):
    path = Path(sys.argv[1], name, "app.py")
    spec = importlib.util.spec_from_file_location(f"{name}_example", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(name, config=None):
    return example(name).create_app(config, instance_path=str(Path(sys.argv[2], name)))


def embed():
    app = made("embed")
    app.test_cli_runner().invoke(args=["add-user", "root", "--admin", "--password", "secret"])
    client = app.test_client()
    client.post("/sign-in", data={"name": "root", "password": "secret"})
    client.post("/", data={"text": "why"})
    return client.get("/usage/"), client.get("/usage/page")


def flask_login():
    client = made("flask_login").test_client()
    client.get("/sign-in/root")
    client.get("/ask/why")
    return client.get("/usage/"), client.get("/usage/page")


def gateway():
    keys = {"sk-laptop": {"token_id": 11, "user_id": 7, "username": "alice"}}
    client = made("gateway", {"KEYS": keys, "UPSTREAM": "http://127.0.0.1:9"}).test_client()
    key = {"Authorization": "Bearer sk-laptop"}
    client.post("/v1/chat/completions", json={"model": "oracle-1"}, headers=key)
    return client.get("/api/log/token", headers=key), client.get("/api/log/page")


for trial in (embed, flask_login, gateway):
    rows, page = trial()
    data = rows.get_json()["data"]
    [row] = data if isinstance(data, list) else data["items"]
    print(json.dumps([trial.__name__, row["type"], row["model_name"], page.status_code]))
"""


# What a host writes; the last line is wrong, which nobody would see in a package without types.
TYPED = """
from flask import Flask, Request
from logservice import LogService, Principal, current_logs
from logservice.client import Client


def who_is_asking(request: Request) -> Principal | None:
    name = request.headers.get("X-Name")
    return Principal(1, name, "admin") if name else None


logs = LogService(authenticate=who_is_asking, url_prefix="/usage", page=True)


def make_app() -> Flask:
    app = Flask(__name__)
    logs.init_app(app)
    with app.app_context():
        current_logs.record(model_name="gpt-4o", quota=3)
        current_logs().record_many([{"content": "from a thread"}])
    with Client("http://127.0.0.1:8000", "a token") as client:
        client.record(model_name="gpt-4o")
    return app


Principal("1", "root", "admin")
"""
# Their types take half of the time, and are theirs.
OF_OTHERS = (
    "sqlalchemy.*,alembic.*,marshmallow.*,apispec.*,msgspec.*,orjson.*,prometheus_client.*,flask_cors.*"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it and from nothing else."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


def only(folder: Path, pattern: str) -> Path:
    [found] = folder.glob(pattern)
    return found


def files_of_the_package() -> set[str]:
    """Return everything of the package, templates, static files and migrations among it."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(ROOT)) for path in files}


def test_wheel_and_sdist_have_the_whole_package_and_nothing_beside_it(built: Path) -> None:
    expected = files_of_the_package()
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == expected
    assert "logservice/py.typed" in names
    with tarfile.open(only(built, "*.tar.gz")) as sdist:
        inside = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    assert expected <= inside
    # What a container is built from, and what docs/deploying.md copies.
    deployed = {f"deploy/{path.name}" for path in (ROOT / "deploy").iterdir() if path.name != ".env"}
    assert "deploy/.env" not in inside
    assert deployed | {".dockerignore", "constraints.txt", "pyproject.toml", "setup.cfg"} <= inside
    assert not [name for name in inside if name.startswith(("tests/", "benchmarks/", "instance/"))]


def test_the_wheel_alone_serves_records_answers_and_is_a_guest(built: Path, tmp_path: Path) -> None:
    """One environment for all of it: to make it takes longer than all that is tried in it."""
    programs = empty_environment(tmp_path / "environment", only(built, "*.whl"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with served(programs, elsewhere) as (port, token):
        sent, answer = call(port, "POST", "/api/log/", token, {"model_name": "oracle-1", "quota": 3})
        assert (sent, answer["data"]["accepted"]) == (200, 1)
        status, answer = call(port, "GET", "/api/log/?model_name=oracle-%25", token)
        assert (status, answer["data"]["total"]) == (200, 1)
        page = fetch(port, "/")
        assert all(fetch(port, f"/{name}") for name in loaded(page))
    # Where `make run` has them too.
    assert (elsewhere / "instance" / "logservice.db").exists()
    checked = run([str(programs / "logservice"), "check"], elsewhere)
    assert checked.returncode == 0, checked.stderr
    examples = tmp_path / "examples"
    shutil.copytree(ROOT / "examples", examples, ignore=shutil.ignore_patterns("instance", "__pycache__"))
    tried = run([str(programs / "python"), "-c", TRYING, str(examples), str(tmp_path / "hosts")], elsewhere)
    assert tried.returncode == 0, tried.stderr
    assert [json.loads(line) for line in tried.stdout.splitlines()] == [
        ["embed", 2, "oracle-1", 200],
        ["flask_login", 2, "oracle-1", 200],
        ["gateway", 4, "oracle-1", 200],
    ]
    types = looked_at_by_mypy(programs, elsewhere)
    last = len(TYPED.splitlines())
    complaint = 'Argument 1 to "Principal" has incompatible type "str"; expected "int"'
    assert types == [f"program.py:{last}: error: {complaint}"]


def looked_at_by_mypy(programs: Path, folder: Path) -> list[str]:
    """Return what mypy has to say, at its strictest, of a host of what is installed."""
    (folder / "program.py").write_text(TYPED)
    skipped = f"[mypy-{OF_OTHERS}]\nfollow_imports = skip\n"
    (folder / "mypy.ini").write_text(f"[mypy]\nstrict = True\nhide_error_codes = True\n{skipped}")
    installed = ["--python-executable", str(programs / "python"), "--cache-dir", os.devnull]
    command = [sys.executable, "-m", "mypy", "--no-error-summary", *installed, "program.py"]
    return run(command, folder).stdout.splitlines()


def empty_environment(folder: Path, wheel: Path) -> Path:
    """Install the wheel, and what an example needs beside it, into an environment; return its programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    install = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    options = ["--disable-pip-version-check", "--no-compile", "--constraint", str(ROOT / "constraints.txt")]
    done = subprocess.run(
        [*install, *options, str(wheel), "flask-login"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def outside() -> dict[str, str]:
    """Return an environment in which nothing leads back to the checkout."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=outside(), capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def served(programs: Path, folder: Path) -> Iterator[tuple[int, str]]:
    """Serve as a newcomer does, with one thing said: the port. Gives it and the admin's access token."""
    port, said = free_port(), folder / "said"
    command = [str(programs / "logservice"), "serve", "--bind", f"127.0.0.1:{port}"]
    with said.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=outside(), stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_for(port)
        token = re.search(r"Bearer ([\w-]+)", said.read_text())
        assert token, said.read_text()
        yield port, token[1]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0, said.read_text()


def wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            fetch(port, "/healthz")
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return


def fetch(port: int, path: str) -> str:
    """Return what anybody may read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200, path
        return answer.read().decode()
    finally:
        connection.close()


def call(port: int, method: str, path: str, token: str, event: Any = None) -> tuple[int, Any]:
    """Send a request with an access token, and return status and answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, None if event is None else json.dumps(event), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()

"""deploy/: each file is checked by the program it is for, and the proxies run in front of a service."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from logservice import gunicorn_conf
from tests.leaks import assert_nothing_leaked
from tests.processes import eventually, free_port
from tests.programs import (
    CALLER,
    DEPLOY,
    ROOT,
    Proxy,
    caddy,
    checked,
    nginx,
    program,
    with_changes,
)
from tests.serving import TOKENS, Service, send, serving

UNITS = ("logservice.service", "logservice-maintain.service", "logservice-maintain.timer")
PROGRAMS = Path(sys.executable).parent
KEY = "sk-a-key-that-proxies-see"


# -- systemd -----------------------------------------------------------------------------------------------


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, with the programs where they are on this machine."""
    made = [tmp_path / name for name in UNITS]
    for path in made:
        changes = {} if path.suffix == ".timer" else {"/opt/logservice/bin": str(PROGRAMS)}
        path.write_text(with_changes(path.name, changes))
    return made


def test_systemd_has_nothing_to_say_about_the_units(units: list[Path]) -> None:
    assert checked(program("systemd-analyze", "systemd"), "verify", *units) == ""


@pytest.mark.parametrize("number", [0, 1], ids=UNITS[:2])
def test_the_services_are_exposed_to_little(units: list[Path], number: int) -> None:
    """The threshold is in tenths: 2.0 of 10 is what systemd calls OK."""
    checked(
        program("systemd-analyze", "systemd"), "security", "--offline=yes", "--threshold=20", units[number]
    )


def test_both_services_are_confined_alike() -> None:
    hardened = [
        (DEPLOY / name).read_text().partition("# Nothing of the system")[2].partition("[Install]")[0].strip()
        for name in UNITS[:2]
    ]
    assert hardened[0] == hardened[1]
    assert "ProtectSystem=strict" in hardened[0]


@pytest.mark.parametrize("page", ["docs/deploying.md", "docs/zh-CN/deploying.md"])
def test_the_timer_is_enabled_apart_for_the_environment_has_no_retention(page: str) -> None:
    assert "\nLOGSERVICE_RETENTION" not in (DEPLOY / "environment").read_text()
    enabled = re.findall(r"^systemctl enable --now (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert enabled == ["logservice.service", "logservice-maintain.timer"]


@pytest.mark.parametrize("name", ["environment", "compose.yaml", "Containerfile", *UNITS[:2]])
def test_every_setting_is_one_that_is_documented(name: str) -> None:
    known = re.findall(r"^\| `(LOGSERVICE_\w+)` \|", (ROOT / "docs" / "configuration.md").read_text(), re.M)
    assert set(re.findall(r"LOGSERVICE_[A-Z_]*[A-Z]", (DEPLOY / name).read_text())) <= set(known)


# -- containers --------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the container file, with their lines joined."""
    text = re.sub(r"\\\n\s*", "", (DEPLOY / "Containerfile").read_text())
    lines = [line.partition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in lines]


def test_the_container_file_copies_what_there_is_and_runs_as_nobody_special() -> None:
    found = instructions()
    known = {
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "ENV",
        "USER",
        "VOLUME",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "CMD",
    }
    assert {name for name, _ in found} == known
    copied = [rest.split()[:-1] for name, rest in found if name == "COPY" and not rest.startswith("--from")]
    assert all((ROOT / source).exists() for sources in copied for source in sources)
    # The building program is given just that.
    given = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(given) == sorted(source.removeprefix("./") for sources in copied for source in sources)
    assert [rest for name, rest in found if name == "USER"] == ["logservice"]


@pytest.mark.parametrize("page", ["docs/deploying.md", "docs/zh-CN/deploying.md", "deploy/Containerfile"])
def test_podman_is_told_to_keep_the_health_check(page: str) -> None:
    """Images of its own format have none."""
    builds = re.findall(r"podman build .*", (ROOT / page).read_text())
    assert builds
    assert all("--format docker" in build for build in builds)


def test_what_the_container_runs_serves_and_its_health_check_sees_that(tmp_path: Path) -> None:
    found, port = instructions(), free_port()
    environ = dict(rest.split("=", 1) for name, rest in found if name == "ENV")
    environ |= {"LOGSERVICE_INSTANCE_PATH": str(tmp_path), "LOGSERVICE_BIND": f"127.0.0.1:{port}"}
    environ |= {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "LOGSERVICE_WORKERS": "1"}
    [command] = [json.loads(rest) for name, rest in found if name == "CMD"]
    [check] = [json.loads(rest.partition("CMD ")[2]) for name, rest in found if name == "HEALTHCHECK"]
    check = [word.replace("127.0.0.1:8000", f"127.0.0.1:{port}") for word in check]
    with (tmp_path / "printed").open("wb") as printed:
        process = subprocess.Popen(command, env=environ, stdout=printed, stderr=subprocess.STDOUT)
    try:
        assert eventually(
            lambda: subprocess.run(check, env=environ, capture_output=True, check=False).returncode == 0
        )
    finally:
        process.terminate()
        assert process.wait(timeout=40) == 0
    assert subprocess.run(check, env=environ, capture_output=True, check=False).returncode != 0
    assert "access token" not in (tmp_path / "printed").read_text()


def test_compose_names_what_there_is() -> None:
    """As far as that can be said without the program itself."""
    compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    assert services.keys() == {"logservice", "maintain", "database"}
    for service in services.values():
        assert service.get("depends_on", {}).keys() <= services.keys()
        named = {volume.partition(":")[0] for volume in service["volumes"]}
        assert named <= compose["volumes"].keys()
    build = services["logservice"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Containerfile"
    assert all(port.startswith("127.0.0.1:") for port in services["logservice"]["ports"])
    assert "ports" not in services["database"]
    # Every setting can be given in the file; what stands in `environment` would win over it.
    for name in ("logservice", "maintain"):
        assert services[name]["env_file"] == [{"path": ".env", "required": False}]
        assert services[name]["environment"].keys() == {"LOGSERVICE_DATABASE_URL", "PGPASSWORD"}
    # A password in the URL would have to be written without @, / and :.
    for name in ("logservice", "maintain"):
        environment = services[name]["environment"]
        url = make_url(environment["LOGSERVICE_DATABASE_URL"])
        assert (url.host, url.username, url.password) == ("database", "logservice", None)
        assert environment["PGPASSWORD"] == services["database"]["environment"]["POSTGRES_PASSWORD"]


def test_the_command_of_compose_is_one_of_ours() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    command = compose["services"]["maintain"]["command"]
    assert command[0] == "logservice"
    checked(sys.executable, "-m", *command[:2], "--help")
    assert shlex.join(command) in (ROOT / "docs" / "deploying.md").read_text()


# -- proxies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [nginx, caddy])
def test_a_proxy_in_front_passes_on_all_but_secrets_and_metrics(
    run: Callable[[Path, int], AbstractContextManager[Proxy]], tmp_path: Path
) -> None:
    for name in ("proxy", "instance"):
        (tmp_path / name).mkdir()
    environ = {"LOGSERVICE_TRUSTED_PROXIES": "127.0.0.1", "LOGSERVICE_ACCESS_LOG": "json"}
    with serving(tmp_path / "instance", workers=1, environ=environ) as service:
        with run(tmp_path / "proxy", service.port) as proxy:
            _use(proxy, service)
            service.process.terminate()
            service.process.wait(timeout=40)
            assert _status(proxy, f"/api/log/token?key={KEY}") == 502
        printed = service.printed()
    assert KEY not in printed
    logged = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    [entry] = [entry for entry in logged if entry["request_id"] == "through-a-proxy"]
    assert entry["client"] == CALLER
    seen = (tmp_path / "proxy" / "logservice.log").read_text()
    assert "/api/log/token" in seen
    # Nor in capitals, nor with its hyphen as a percent sign and digits.
    assert not re.search("a(-|%2d)key", seen + printed, re.IGNORECASE)
    assert "502" in seen
    assert_nothing_leaked(tmp_path / "proxy")


def test_nginx_tells_no_key_when_it_cannot_write_a_temporary_file(tmp_path: Path) -> None:
    with nginx(tmp_path, free_port()) as proxy:
        # Bodies that do not fit into memory go here; a file in its place is what no rights get around.
        (tmp_path / "body").rmdir()
        (tmp_path / "body").touch()
        connection = proxy.open()
        connection.request("POST", f"/api/log/token?key={KEY}", body=b" " * 10**5)
        assert connection.getresponse().status == 500
        connection.close()
    assert '"status":500' in (tmp_path / "logservice.log").read_text()
    assert_nothing_leaked(tmp_path)


def test_every_server_of_nginx_says_nothing_of_requests_in_an_error_log() -> None:
    servers = (DEPLOY / "nginx.conf").read_text().split("\nserver {")[1:]
    assert len(servers) == 2
    for server in servers:
        assert re.findall(r"^ *error_log .* (\w+);$", server, re.MULTILINE) == ["emerg"]


def test_nginx_leaves_idle_connections_before_the_service_closes_them() -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    upstream = text.partition("upstream logservice {")[2].partition("}")[0]
    [seconds] = re.findall(r"keepalive_timeout (\d+)s;", upstream)
    assert 0 < int(seconds) < gunicorn_conf.keepalive


def _use(proxy: Proxy, service: Service) -> None:
    connection = proxy.open()
    events = [{"request_id": f"event-{number}", "content": "x" * 1000} for number in range(2000)]
    status, answer = send(connection, "POST", "/api/log/", user="gateway", body=events)
    assert (status, answer["data"]["accepted"]) == (200, 2000)
    connection.close()

    exported = _get(proxy, "/api/log/export?format=ndjson")
    assert exported[0] == 200
    assert exported[1].count(b"\n") == 2000
    assert exported == _get(service, "/api/log/export?format=ndjson")

    # Who forges a header is seen through: the proxy adds whom it saw itself.
    forged = {"X-Forwarded-For": "203.0.113.7", "X-Request-ID": "through-a-proxy"}
    assert _status(proxy, f"/api/log/token?key={KEY}", **forged) == 200
    written = (f"/{KEY}", f"/{KEY.upper()}", f"/{KEY.replace('-', '%2D')}")
    for path in (f"/api/log/token/{KEY}", *written, f"/api/log/self?key={KEY}"):
        assert (
            _status(proxy, path, Authorization=f"Bearer {KEY}", Referer=f"https://x.example/?key={KEY}")
            >= 400
        )

    assert _get(service, "/metrics")[0] == 200
    assert _get(proxy, "/metrics")[0] == _get(proxy, "/metrics/")[0] == 404
    assert _status_of_a_large_post(proxy) == 413


def _status_of_a_large_post(proxy: Proxy) -> int:
    """Send more than a body may have, until there is an answer.

    Who answers before the end soon hangs up: the answer is there, whatever becomes of what is sent behind it.
    """
    connection, size = proxy.open(), 33 * 2**20
    try:
        connection.putrequest("POST", "/api/log/")
        connection.putheader("Authorization", f"Bearer {TOKENS['gateway']}")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(size // 2**16):
                if select.select([connection.sock], [], [], 0)[0]:
                    break
                connection.send(b" " * 2**16)
        return connection.getresponse().status
    finally:
        connection.close()


def _get(where: Proxy | Service, path: str) -> tuple[int, bytes]:
    connection = where.open()
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {TOKENS['root']}"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _status(proxy: Proxy, path: str, **headers: str) -> int:
    connection = proxy.open()
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()

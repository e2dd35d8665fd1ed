"""Programs of the system that check what is in deploy/, and what becomes of a test where one is missing."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

from tests.private_servers import NoServer, skip_or_fail
from tests.processes import free_port

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
CERTIFICATE = ROOT / "tests" / "client" / "localhost.pem"
#: Where Debian keeps what is meant for administrators; the PATH of others often lacks it.
PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
#: Whom the proxies see: another than the address that they themselves call from.
CALLER = "127.0.0.2"


class NoProgram(NoServer):
    """A program is not installed."""

    engine = "Deployment"


def program(name: str, package: str) -> str:
    """Return the path of a program; without it the test is skipped, or fails under continuous integration."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        skip_or_fail(NoProgram(f"there is no {name} on the PATH; on Debian: apt install {package}"))
    return found


def checked(*command: str | Path, **environ: str) -> str:
    """Run a program that must have nothing to complain of, and return what it printed."""
    done = subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def with_changes(name: str, changes: Mapping[str, str]) -> str:
    """Return a file of deploy/ with what is different on this machine put in; every change must apply."""
    text = (DEPLOY / name).read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


class Proxy:
    """A reverse proxy that runs: where it listens, and the folder of its logs."""

    def __init__(self, port: int, folder: Path, *, tls: bool) -> None:
        self.port = port
        self.folder = folder
        self._tls = tls

    def open(self) -> HTTPConnection:
        """Return a connection from CALLER."""
        come_from = (CALLER, 0)
        if not self._tls:
            return HTTPConnection("127.0.0.1", self.port, timeout=30, source_address=come_from)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return HTTPSConnection("127.0.0.1", self.port, timeout=30, source_address=come_from, context=context)


@contextmanager
def nginx(folder: Path, backend: int) -> Iterator[Proxy]:
    """Run nginx with the settings of deploy/ in front of a port, until the block ends."""
    path, port = program("nginx", "nginx"), free_port()
    changes = {
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/certs/logs.example.org.pem": str(CERTIFICATE),
        "/etc/ssl/private/logs.example.org.key": str(CERTIFICATE),
        "/var/log/nginx/": f"{folder}/",
        "127.0.0.1:8000": f"127.0.0.1:{backend}",
    }
    (folder / "logservice.conf").write_text(with_changes("nginx.conf", changes))
    # Started as root it would give its work to an account that may not enter the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = (f"{name}_temp_path {folder}/{name};" for name in ("proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "main.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ client_body_temp_path {folder}/body; {' '.join(temporary)}\n"
        f"access_log off; include {folder}/logservice.conf; }}\n"
    )
    command = (path, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "main.conf"))
    checked(*command, "-t")
    with _running(command, Proxy(port, folder, tls=True)) as proxy:
        yield proxy


@contextmanager
def caddy(folder: Path, backend: int) -> Iterator[Proxy]:
    """Run Caddy with the settings of deploy/ in front of a port, without TLS, until the block ends."""
    path, port = program("caddy", "caddy"), free_port()
    changes = {
        "\n{\n": "\n{\n\tadmin off\n",
        "logs.example.org {": f"http://127.0.0.1:{port} {{",
        "/var/log/caddy/": f"{folder}/",
        "127.0.0.1:8000": f"127.0.0.1:{backend}",
    }
    (folder / "Caddyfile").write_text(with_changes("Caddyfile", changes))
    where = ("--config", str(folder / "Caddyfile"), "--adapter", "caddyfile")
    checked(path, "validate", *where, HOME=str(folder))
    with _running((path, "run", *where), Proxy(port, folder, tls=False), HOME=str(folder)) as proxy:
        yield proxy


@contextmanager
def _running(command: tuple[str, ...], proxy: Proxy, **environ: str) -> Iterator[Proxy]:
    with (proxy.folder / "printed").open("wb") as printed:
        process = subprocess.Popen(
            command, env={**os.environ, **environ}, stdout=printed, stderr=subprocess.STDOUT
        )
    try:
        _wait_for(proxy, process)
        yield proxy
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(proxy: Proxy, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", proxy.port), timeout=30).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((proxy.folder / "printed").read_text()) from None
            time.sleep(0.05)
        else:
            return

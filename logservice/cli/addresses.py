"""Where `serve` listens: the option, whether the address is free, and commands that ask there."""

from __future__ import annotations

import errno
import os
import re
import shlex
import socket
from pathlib import Path

import click
from click.core import ParameterSource

from ..errors import InvalidValue
from ..setting_values import ADDRESS, DEFAULT_BIND, address

#: Addresses that stand for all of a machine's, and one of them to call.
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # nosec B104 # only compared, never bound
_SOCKET = re.compile("^unix:(//)?")


def _checked(context: click.Context, option: click.Parameter, given: str) -> str:
    try:
        return address(given)
    except ValueError as error:
        is_set = context.get_parameter_source(str(option.name)) is ParameterSource.ENVIRONMENT
        raise InvalidValue(f"{'LOGSERVICE_BIND' if is_set else '--bind'}: {given!r} {error}") from None


bind_option = click.option(
    "--bind",
    envvar="LOGSERVICE_BIND",
    show_envvar=True,
    default=DEFAULT_BIND,
    show_default=True,
    metavar="ADDRESS",
    callback=_checked,
    help="HOST:PORT or unix:PATH.",
)


def refuse_taken(bind: str) -> None:
    """Raise InvalidValue where gunicorn could not listen: it would say so when much was printed already."""
    if "LISTEN_FDS" in os.environ:
        # Systemd hands a socket over, and gunicorn listens there.
        return
    if _SOCKET.match(bind):
        folder = Path(_SOCKET.sub("", bind)).absolute().parent
        if not folder.is_dir():
            raise InvalidValue(f"--bind: {bind}: there is no folder {folder}")
        return
    try:
        _listen(bind)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InvalidValue(
                f"{bind} is taken: another program listens there, perhaps this one; --bind or LOGSERVICE_BIND"
                " names another address"
            ) from None
        raise InvalidValue(f"--bind: {bind}: {error.strerror}") from None


def _listen(bind: str) -> None:
    """Do with a TCP address for a moment what gunicorn does."""
    found = _parts(bind)
    host = found["host"].strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, int(found["port"])))


class Curl:
    """Writes commands, ready to paste, that ask the service at one address."""

    def __init__(self, where: str, *, socket: str | None = None) -> None:
        self.where = where
        self._socket = [] if socket is None else ["--unix-socket", socket]

    def __call__(self, path: str, access_token: str | None = None) -> str:
        """Return the command for a path, with an access token if it needs one."""
        header = [] if access_token is None else ["-H", f"Authorization: Bearer {access_token}"]
        return shlex.join(["curl", *self._socket, *header, f"{self.where}{path}"])


def curl_for(bind: str) -> Curl:
    """Return what asks a service at an address that was checked."""
    if _SOCKET.match(bind):
        return Curl("http://localhost", socket=str(Path(_SOCKET.sub("", bind)).absolute()))
    found = _parts(bind)
    return Curl(f"http://{_EVERYWHERE.get(found['host'], found['host'])}:{found['port']}")


def _parts(bind: str) -> re.Match[str]:
    found = ADDRESS.fullmatch(bind)
    if found is None:
        raise ValueError(f"{bind!r} was not checked")
    return found

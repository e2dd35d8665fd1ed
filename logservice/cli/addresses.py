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
#: How a call at a socket's path ends where somebody listens, with a full queue or for datagrams too.
_LISTENING = (0, errno.EAGAIN, errno.EPROTOTYPE)
_NOBODY = (errno.ENOENT, errno.ECONNREFUSED)


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
    try:
        if _SOCKET.match(bind):
            _listen_at_path(bind)
        else:
            _listen(bind)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InvalidValue(
                f"{bind} is taken: another program listens there, perhaps this one; --bind or LOGSERVICE_BIND"
                " names another address"
            ) from None
        raise InvalidValue(f"--bind: {bind}: {error.strerror or error}") from None


def _listen(bind: str) -> None:
    """Do with a TCP address for a moment what gunicorn does."""
    found = _parts(bind)
    host = found["host"].strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, int(found["port"])))


def _listen_at_path(bind: str) -> None:
    """Do with a unix address for a moment what gunicorn does, which removes a socket that is there.

    A socket at which somebody listens is left alone.
    """
    path = _path(bind)
    if not path.parent.is_dir():
        raise InvalidValue(f"--bind: {bind}: there is no folder {path.parent.absolute()}")
    if path.exists() and not path.is_socket():
        raise InvalidValue(f"--bind: {bind}: what is there already is no socket")
    if _is_listening(path):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    if path.is_socket():
        path.unlink()
    with socket.socket(socket.AF_UNIX) as probe:
        probe.bind(str(path))
    path.unlink()


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)
        number = caller.connect_ex(str(path))
    if number not in _LISTENING + _NOBODY:
        raise OSError(number, os.strerror(number))
    return number in _LISTENING


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
        return Curl("http://localhost", socket=str(_path(bind).absolute()))
    found = _parts(bind)
    return Curl(f"http://{_EVERYWHERE.get(found['host'], found['host'])}:{found['port']}")


def _path(bind: str) -> Path:
    """Return the path of a unix address as it was given: an absolute one may be too long for a socket."""
    return Path(_SOCKET.sub("", bind))


def _parts(bind: str) -> re.Match[str]:
    found = ADDRESS.fullmatch(bind)
    if found is None:
        raise ValueError(f"{bind!r} was not checked")
    return found

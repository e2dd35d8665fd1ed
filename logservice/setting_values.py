"""How values of settings are read: each reader takes a text, or raises ValueError saying what it is not."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

#: HOST:PORT, as gunicorn takes it.
ADDRESS = re.compile(r"(?:tcp://)?(?P<host>\[[^\]\s]*\]|[^:/\[\]\s,]*):(?P<port>[0-9]{1,5})", re.ASCII)
DEFAULT_BIND = "127.0.0.1:8000"

_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(?:([KMGT])(I)?)?B?", re.ASCII)
_TOKEN = re.compile(r"[!-~]{16,}", re.ASCII)
_HOST = re.compile(r"[\w.-]+", re.ASCII)
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[\w.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)
#: What browsers leave out of an origin.
_USUAL_PORTS = {"http": 80, "https": 443}
_MOST_PORTS = 2**16
_POWERS = {None: 0, "K": 1, "M": 2, "G": 3, "T": 4}
#: The least the log may take: an empty one takes about a fifth of that.
_SMALLEST_CAP = 10**6
_BOOLEANS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off", ""), False),
}


def whole(value: str) -> int:
    """Read a whole number from 1."""
    value = value.strip()
    if not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII) or int(value) == 0:
        raise ValueError("is not a whole number from 1")
    return int(value)


def positive(value: str) -> float:
    """Read a number above 0."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError("is not a number above 0")
    return number


def size(value: str) -> int:
    """Read a number of bytes: 1048576, 512KB, 32MiB, 1.5GB, 10G."""
    found = _SIZE.fullmatch(value.strip().upper())
    read = 0 if found is None else _bytes(*found.groups())
    if read == 0:
        raise ValueError("is not a size such as 1048576, 32MiB or 10GB")
    return read


def _bytes(number: str, prefix: str | None, binary: str | None) -> int:
    return int(Decimal(number) * (1024 if binary else 1000) ** _POWERS[prefix])


def cap(value: str) -> int | None:
    """Read how many bytes the log may take; nothing or 0 is no limit."""
    if value.strip() in ("", "0"):
        return None
    read = size(value)
    if read < _SMALLEST_CAP:
        raise ValueError("is less than 1MB; is a unit missing?")
    return read


def switch(value: str) -> bool:
    """Read 1 or 0, true or false, yes or no, on or off."""
    if value.strip().lower() not in _BOOLEANS:
        raise ValueError("is neither 1 nor 0")
    return _BOOLEANS[value.strip().lower()]


def names(value: str) -> tuple[str, ...]:
    """Read a list separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def one_of(*choices: str) -> Callable[[str], str]:
    """Return what reads one of some words, in small letters or others."""

    def read(value: str) -> str:
        if value.strip().lower() not in choices:
            raise ValueError(f"is none of {', '.join(choices)}")
        return value.strip().lower()

    return read


def file(value: str) -> str:
    """Read the path of a file, which need not be there yet."""
    if Path(value).is_dir() and value:
        raise ValueError("is a folder, not a file")
    return value


def token(value: str) -> str:
    """Read a token that travels in a header and is not to be guessed; nothing is none."""
    value = value.strip()
    if value and not _TOKEN.fullmatch(value):
        raise ValueError("is not a token of at least 16 characters of ASCII, without blanks")
    return value


def origins(value: str) -> tuple[str, ...]:
    """Read a list of web origins, as browsers send them; `*` stands for any."""
    return tuple(origin if origin == "*" else _origin(origin) for origin in names(value))


def _origin(text: str) -> str:
    found = _ORIGIN.fullmatch(text.lower())
    if found is None or not _is_port(found["port"] or "80"):
        raise ValueError(f"names {text[:80]!r}, which is no origin such as {_likely_origin(text)}")
    usual = found["port"] is not None and int(found["port"]) == _USUAL_PORTS.get(found["scheme"])
    return text.lower().rpartition(":")[0] if usual else text.lower()


def _likely_origin(text: str) -> str:
    """Return what somebody meant who left out the scheme, or wrote a path behind."""
    whole_one = text.lower() if "://" in text else f"https://{text.lower()}"
    found = _ORIGIN.match(whole_one)
    is_likely = found is not None and re.fullmatch(r"(?:[/?#].*)?", whole_one[found.end() :])
    return found[0] if found is not None and is_likely and "." in found["host"] else "https://app.example.org"


def address(value: str) -> str:
    """Read an address to listen on: HOST:PORT or unix:PATH."""
    value = value.strip()
    found = ADDRESS.fullmatch(value)
    is_socket = value.startswith("unix:") and value.removeprefix("unix:").strip("/") != ""
    if not is_socket and (found is None or not _is_port(found["port"])):
        raise ValueError(f"is neither HOST:PORT nor unix:PATH, such as {_likely_address(value)}")
    return value


def _likely_address(text: str) -> str:
    """Return what somebody meant who wrote a port alone, or a host alone."""
    host, _, port = DEFAULT_BIND.rpartition(":")
    if _is_port(text):
        return f"{host}:{text}"
    return f"{text}:{port}" if _HOST.fullmatch(text) and not text.isdecimal() else DEFAULT_BIND


def _is_port(text: str) -> bool:
    return re.fullmatch("[0-9]{1,5}", text, re.ASCII) is not None and 0 < int(text) < _MOST_PORTS

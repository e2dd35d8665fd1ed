"""Commands that stay and do something again and again until somebody ends them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..errors import InvalidValue
from . import times


def interval_option(name: str, *, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return an option that takes a span such as 10s, and hands on its seconds."""
    return click.option(name, metavar="INTERVAL", callback=_seconds, help=help)


def _seconds(_context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else times.parse_span(text)
    except InvalidValue as error:
        raise InvalidValue(f"{option.opts[0]}: {error}") from None


@contextmanager
def until_told_to_stop() -> Iterator[Callable[[], None]]:
    """End without an error when asked to, by Ctrl-C or SIGTERM: there is no other end.

    Gives what is to be called before a failure is passed over: a driver that is interrupted in the middle of
    a statement may fail with an error of its own, and whoever goes on after that would never stop.
    """
    told = False

    def stop(*_: object) -> None:
        nonlocal told
        told = True
        raise KeyboardInterrupt

    def heed() -> None:
        if told:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield heed
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

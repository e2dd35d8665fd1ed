"""What all commands share: errors that are one line, and the application's store, closed at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
from flask.cli import with_appcontext

from ..errors import LogServiceError, NotFound, Unavailable
from ..store.store import LogStore
from ..web.state import current_state
from .output import printable

P = ParamSpec("P")
R = TypeVar("R")


class Aborted(click.ClickException):
    """Somebody pressed Ctrl-C."""

    def __init__(self) -> None:
        super().__init__("Aborted.")

    def show(self, file: Any = None) -> None:
        """Say so, without calling it an error."""
        click.echo(self.message, err=True)


class CommandGroup(click.Group):
    """A group whose commands fail with one line on standard error and exit status 1."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the group's own arguments."""
        with _failing_in_one_line():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Read the arguments of the command that is named, and run it."""
        with _failing_in_one_line(), _without_log():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of their registration."""
        return list(self.commands)


def show_help(context: click.Context) -> None:
    """Print the help of a group that was called without a command."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def with_store(command: Callable[Concatenate[LogStore, P], R]) -> Callable[P, R]:
    """Hand the application's store to a command as its first argument, and close it at the end.

    A log that is not there is refused: whoever is in a wrong folder would look at a new, empty one.
    """

    @wraps(command)
    def run(store: LogStore, /, *args: P.args, **kwargs: P.kwargs) -> R:
        _refuse_missing(store)
        return command(store, *args, **kwargs)

    return with_new_store(run)


def with_new_store(command: Callable[Concatenate[LogStore, P], R]) -> Callable[P, R]:
    """Do the same for a command that writes, and may begin the log.

    Closing finishes work that was accepted, also when the command was interrupted.
    """

    @with_appcontext
    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with closing(current_state().store) as store:
            return command(store, *args, **kwargs)

    return run


def _refuse_missing(store: LogStore) -> None:
    path = store.dialect.path
    if path is not None and not store.dialect.exists():
        raise NotFound(
            f"there is no log in {path.absolute()}: {store.url_setting} or LOGSERVICE_INSTANCE_PATH says"
            " where it is, and `logservice init-db` creates one"
        )


@contextmanager
def _failing_in_one_line() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        raise click.ClickException(_with_hint(error)) from error
    except (KeyboardInterrupt, click.Abort):
        raise Aborted from None
    except BrokenPipeError:
        # Click leaves quietly: whoever read our output has had enough.
        raise
    except (LogServiceError, OSError, UnicodeEncodeError) as error:
        raise click.ClickException(_in_words(error)) from error


def _with_hint(error: click.UsageError) -> str:
    message = _one_line(error.format_message())
    message += "" if message.endswith((".", "?")) else "."
    return message if error.ctx is None else f"{message} See `{error.ctx.command_path} --help`."


def _in_words(error: Exception) -> str:
    if isinstance(error, Unavailable) and error.detail and error.detail not in str(error):
        return _one_line(f"{error}: {error.detail}")
    if isinstance(error, OSError) and error.strerror:
        reason: Sequence[object] = (error.filename, error.strerror)
        return _one_line(": ".join(str(part) for part in reason if part is not None))
    if isinstance(error, UnicodeEncodeError):
        return f"a text cannot be written as {error.encoding}"
    return _one_line(str(error))


def _one_line(message: str) -> str:
    return printable(" ".join(message.split()))


@contextmanager
def _without_log() -> Iterator[None]:
    """Print warnings only where no logging is set up: a failure is told once, by the error that ends it."""
    log, handler = logging.getLogger("logservice"), _Warnings()
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Warnings(logging.Handler):
    """Prints warnings as a line each, and nothing else."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            click.echo(f"Warning: {_one_line(record.getMessage())}", err=True)

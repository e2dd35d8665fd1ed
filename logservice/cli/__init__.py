"""The `logservice` command, also `flask logservice` in an application that mounts the log."""

from __future__ import annotations

import click

from .archiving import archive
from .backing_up import backup
from .checking import check
from .database import init_db, purge, rebuild
from .demonstration import demo
from .exporting import export
from .group import CommandGroup, show_help
from .importing import import_source
from .maintaining import maintain
from .serving import serve
from .statement import statement
from .tokens import token
from .users import user

__all__ = ["logservice"]


# Commands below take over by which options help is shown.
@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="logservice", message="%(package)s %(version)s")
@click.pass_context
def logservice(context: click.Context) -> None:
    """The usage log of an LLM gateway.

    Settings are LOGSERVICE_* in the environment, and in an application that mounts the log those of its
    configuration before them. An error is one line on standard error and exit status 1.
    """
    show_help(context)


for command in (
    *(serve, demo, init_db, user, token, import_source, export),
    *(statement, maintain, backup, archive, purge, check, rebuild),
):
    logservice.add_command(command)

"""`logservice backup`: the whole log in a second file."""

from __future__ import annotations

from pathlib import Path

import click

from ..exports.files import whole_path
from ..store.store import LogStore
from .group import with_store
from .output import progress


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_store
def backup(store: LogStore, file: Path) -> None:
    """Copy the log into FILE while the service goes on; SQLite only.

    The copy is the log of one moment, an older schema as it is. SQLite has looked whether it is sound when it
    takes its name. Only its owner may read it, and no other file is ever replaced.
    """
    with whole_path(file) as part:
        with progress("Copying") as advance:
            store.back_up(part, lambda: advance(1))
        size = part.stat().st_size
    click.echo(f"Copied {size:,} bytes into {file}: sound.")

"""Importing Parquet files: their progress, what was refused, and the figures at the end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ..archives.restoring import Restoring
from ..counts import counted
from ..store.store import LogStore
from .output import SAMPLES, Refusals, echo_json, echo_samples, progress


def run(store: LogStore, path: Path, *, dry_run: bool, as_json: bool) -> None:
    """Import an archive, or one file, or with `dry_run` only look at it."""
    restoring, refusals = Restoring(store, path), Refusals("row", all_of_them=True)
    figures = dict.fromkeys(("accepted", "present", "refused", "usage"), 0)
    samples: list[dict[str, Any]] = []
    with progress("Importing", restoring.rows) as advance:
        for batch in restoring.read(store=not dry_run):
            figures["accepted"] += batch.stored
            figures["present"] += len(batch.found.records) - batch.stored
            figures["refused"] += len(batch.found.refused)
            figures["usage"] += batch.usage
            refusals.add(batch.found)
            samples += [record.shown() for record in batch.found.records[: SAMPLES - len(samples)]]
            advance(batch.number, batch.number)
    refusals.close()
    if dry_run:
        _show_samples(figures, samples, as_json=as_json)
    elif as_json:
        echo_json(figures)
    else:
        click.echo(_sentence(figures))
    if figures["refused"]:
        sys.exit(1)


def _show_samples(figures: dict[str, int], samples: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        echo_json({**figures, "samples": samples})
        return
    echo_samples(samples)
    accepted, refused = figures["accepted"], figures["refused"]
    click.echo(f"{counted(accepted, 'row')} would be accepted, and {refused:,} refused; nothing was stored.")


def _sentence(figures: dict[str, int]) -> str:
    there = f"{figures['present']:,} were there already, " if figures["present"] else ""
    usage = (
        f" Usage without rows came back for {counted(figures['usage'], 'sum')}." if figures["usage"] else ""
    )
    return f"Accepted {counted(figures['accepted'], 'row')}, {there}refused {figures['refused']:,}.{usage}"

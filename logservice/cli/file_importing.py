"""Importing a file: its progress, what was refused, and the figures at the end."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, BinaryIO

import click

from ..counts import counted
from ..imports.files import Batch, FileImport
from ..sources.gateways import Flavour
from ..store.store import LogStore
from .output import SAMPLES, Refusals, echo_json, echo_note, echo_samples, progress

#: By the format: where a file was changed, all of it is read again, and only ids of ours tell what is there.
_HOW_TO_MEND = {
    name: f"Mend what was refused in a file of its own{header}, and import that one: of this file, once it is"
    " changed, whatever has no id of ours is stored a second time."
    for name, header in (("ndjson", ""), ("csv", ", below the same header"))
}


@dataclass(frozen=True, slots=True)
class Job:
    """A file to import: its size in bytes if it has one, and what is known of it already."""

    file: BinaryIO
    size: int | None
    name: str | None
    flavour: Flavour | None
    is_ours: bool


@dataclass(slots=True)
class _Figures:
    accepted: int = 0
    present: int = 0
    refused: int = 0

    def add(self, batch: Batch) -> None:
        self.accepted += batch.stored
        self.present += batch.present
        self.refused += len(batch.found.refused)

    def as_json(self) -> dict[str, int]:
        return {"accepted": self.accepted, "present": self.present, "refused": self.refused}

    def __str__(self) -> str:
        there = f"{self.present:,} were there already, " if self.present else ""
        return f"Accepted {counted(self.accepted, 'event')}, {there}refused {self.refused:,}."


def run(store: LogStore, job: Job, *, dry_run: bool, as_json: bool) -> None:
    """Import a file, or with `dry_run` only look at it."""
    importing = FileImport(store, job.file, name=job.name, flavour=job.flavour, is_ours=job.is_ours)
    if importing.format.flavour is not None:
        echo_note(f"Read as rows of {importing.format.flavour.value}.")
    if importing.lines_before:
        echo_note(f"Lines 1 to {importing.lines_before:,} were imported before.")
    if dry_run:
        _look(importing, as_json=as_json)
        return
    figures = _take(importing, job.size)
    if as_json:
        echo_json(figures.as_json())
    else:
        click.echo(str(figures))
    if figures.refused:
        echo_note(_HOW_TO_MEND[importing.format.name])
        sys.exit(1)


def _take(importing: FileImport, size: int | None) -> _Figures:
    figures, refusals = _Figures(), Refusals("line", all_of_them=True)
    with progress("Importing", size) as advance:
        advance(importing.offset)
        for batch in importing.batches():
            figures.add(batch)
            refusals.add(batch.found)
            advance(batch.size, len(batch.found.records))
    refusals.close()
    return figures


def _look(importing: FileImport, *, as_json: bool) -> None:
    accepted, refused, refusals = 0, 0, Refusals("line", all_of_them=True)
    samples: list[dict[str, Any]] = []
    for batch in importing.read():
        accepted += len(batch.found.records)
        refused += len(batch.found.refused)
        refusals.add(batch.found)
        samples += [record.shown() for record in batch.found.records[: SAMPLES - len(samples)]]
    refusals.close()
    if as_json:
        echo_json({"accepted": accepted, "refused": refused, "samples": samples})
    else:
        echo_samples(samples)
        click.echo(
            f"{counted(accepted, 'event')} would be accepted, and {refused:,} refused; nothing was stored."
        )
    if refused:
        sys.exit(1)

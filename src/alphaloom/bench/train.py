"""The table of training speed: every cell measured once, kept on disk, and never measured again."""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from alphaloom import __version__
from alphaloom.bench import cell as cell_module
from alphaloom.bench.cell import NO_MEMORY, Tell
from alphaloom.bench.grid import Cell, Grid
from alphaloom.bench.machine import machine
from alphaloom.bench.sources import Source, write_samples
from alphaloom.bench.tables import speed_row, speed_table
from alphaloom.errors import RunError, UsageError
from alphaloom.report.files import write_text
from alphaloom.spec import fingerprint
from alphaloom.training.code import code_hash

CELLS, SAMPLES = "cells", "samples-"
"""Folder of finished cells, and the beginning of the name of the one that holds the samples while measuring."""
MEASURING = tuple(Path(__file__).parent / name for name in ("cell.py", "machine.py", "rate.py", "sources.py"))
"""Files of this package that a cell's figures depend on."""
KILLED = -9
"""Exit status of a process that the system ended, as Linux does when memory runs out."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Job:
    """Everything that is to be measured."""

    cells: Sequence[Cell]
    grid: Grid
    source: Source
    threads: int
    seed: int = 777
    profile: bool = False
    """Count the arithmetic too, and compare it with the fastest product of matrices."""

    @cached_property
    def machine(self) -> dict[str, Any]:
        """What the measurements hold for."""
        return machine(self.threads)

    def request(self, cell: Cell) -> dict[str, Any]:
        """Return what a cell's own process is asked for, but for the place of the samples."""
        return {
            "model": cell.model.describe(),
            "max_steps": self.grid.max_steps,
            "repeats": self.grid.repeats,
            "threads": self.threads,
            "seed": self.seed,
            "profile": self.profile,
        }

    def key(self, cell: Cell) -> str:
        """Return the digest of all that a cell's speed depends on: settings, samples, machine, and this code."""
        code = code_hash([cell.model], *MEASURING)
        return fingerprint([self.request(cell), self.source.facts(), self.machine, __version__, code])


@dataclass(frozen=True)
class Speeds:
    """The finished table, with what it holds for; the figures are written from it alone."""

    job: Job
    table: pl.DataFrame
    reused: int
    """Cells found measured by an earlier run."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "machine": self.job.machine,
            "samples": self.job.source.facts(),
            "settings": self.job.grid.dump() | {"seed": self.job.seed},
            "reused": self.reused,
            "cells": self.table.to_dicts(),
        }


def measure_speeds(job: Job, out: Path, progress: Progress | None = None) -> Speeds:
    """Return the table, measuring the cells that `out` does not hold yet; a finished one is kept at once.

    Cells that failed are told as failed, and tried again by the next call.

    Raises:
        UsageError: `out` holds something else.
        RunError: every cell failed; the message gives the first reason.
    """
    folder = _open(out)
    files = [folder / f"{job.key(cell)}.json" for cell in job.cells]
    absent = [(cell, file) for cell, file in zip(job.cells, files, strict=True) if _read(file) is None]
    if absent:
        _measure_all(job, absent, out, progress)
    records = [json.loads(file.read_text()) for file in files]
    if all(record["error"] for record in records):
        raise RunError(f"No cell could be measured. The first one failed so: {records[0]['error']}")
    rows = [speed_row(cell, job.grid, record) for cell, record in zip(job.cells, records, strict=True)]
    return Speeds(job, speed_table(rows), len(job.cells) - len(absent))


def _measure_all(job: Job, absent: Sequence[tuple[Cell, Path]], out: Path, progress: Progress | None) -> None:
    """Measure cells, each into its file, with the samples in a folder of `out` for as long as it takes."""
    total = len(job.cells) * job.grid.repeats
    done = total - len(absent) * job.grid.repeats

    def show(what: str) -> None:
        if progress:
            progress(what, done, total)

    show("samples")
    longest = max((cell.model for cell in job.cells), key=lambda model: (model.steps - 1) * model.stride)
    samples = job.source.make(longest, job.threads)
    with tempfile.TemporaryDirectory(prefix=SAMPLES, dir=out) as work:
        write_samples(samples, job.source.names(), Path(work))
        del samples
        for cell, file in absent:
            show(cell.words)
            fits: list[dict[str, Any]] = []

            def tell(line: dict[str, Any], cell: Cell = cell, fits: list[dict[str, Any]] = fits) -> None:
                nonlocal done
                fits.append(line)
                done += 1
                show(cell.words)

            facts = run_cell({**job.request(cell), "samples": work}, tell)
            done += job.grid.repeats - len(fits)
            record = {"error": None, **facts, "fits": fits, "measured": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
            write_text(file, json.dumps(record, indent=1))
    show("done")


def run_cell(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Return the facts of one cell, or `{"error": why}`; its process ends with this call, however that ends."""
    words = [sys.executable, "-m", cell_module.__name__]
    facts: dict[str, Any] | None = None
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as complaints,
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True, encoding="utf-8"
        ) as child,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended before it read: its exit status says more
                child.stdin.write(json.dumps(request))
                child.stdin.close()
            for text in child.stdout:
                line = json.loads(text)
                if line.pop("event") == "fit":
                    tell(line)
                else:
                    facts = line
            status = child.wait()
        finally:
            child.kill()
        if facts is None:
            complaints.seek(0)
            last = complaints.read().strip().split("\n")[-1]
            return {"error": f"{NO_MEMORY} (ended by the system)" if status == KILLED else last or f"exit {status}"}
    return facts


def _open(out: Path) -> Path:
    """Return the folder of finished cells, what a killed run left beside it removed.

    Raises:
        UsageError: `out` is a file, or a folder that holds something else.
    """
    folder = out / CELLS
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; give a folder.")
    if out.is_dir() and any(out.iterdir()) and not folder.is_dir():
        raise UsageError(f"--out {out} is not empty and holds no speed table. Give an empty or new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for left in out.glob(f"{SAMPLES}*"):
        shutil.rmtree(left)
    return folder


def _read(file: Path) -> dict[str, Any] | None:
    """Return a finished cell's record; None when it was never measured, or failed."""
    if not file.is_file():
        return None
    record: dict[str, Any] = json.loads(file.read_text())
    return None if record["error"] else record

"""Memory when many workers fit on one panel: what it takes in all, against a copy for each worker.

Four workers of `local` fit LightGBM on a part of a panel of about 1 GB, score all of it, and read the shared rows that
a search makes of it. Memory that several processes map counts once (`Pss` of /proc/PID/smaps_rollup); what is a
process's own is `Pss_Anon`. In the last step each worker copies a quarter of the panel: a check that the figures would
tell.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from alphaloom.executors import FolderStorage, executors
from alphaloom.models.base import FitContext, SharedRows, models
from alphaloom.models.lightgbm import LightGBM
from alphaloom.training.fits import Fit, run_fit
from alphaloom.training.inputs import Stored
from alphaloom.training.shared_rows import shared_rows
from alphaloom.training.splits import Window
from benchmarks.meter import in_child
from benchmarks.record import save
from benchmarks.spreading import random_inputs, run_all, store

GOAL = 1.25
"""Most panels by which all processes together may grow when every worker reads the whole panel."""
STOCKS, FEATURES = 1000, 250
_kept: list[Any] = []
"""What a worker holds on to until it ends."""


def together(folder: Path, count: int, call: Callable[[int], None], number: int) -> int:
    """Wait until so many processes have come here, run the call, and return this process's number."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < count:
        time.sleep(0.02)
    call(number)
    return os.getpid()


def fit_and_score(source: Stored, folder: Path, number: int) -> None:
    """Fit on 20 days, and score all that follow."""
    days = source.get().rows
    window = Window(f"w{number}", days[:20], days[21:25], days[26:], 0)
    model = models.parse({"name": "lightgbm", "n_estimators": 5})
    run_fit(source, FolderStorage(folder / "fits"), Fit(window, "lightgbm", model, 0, number, 1, 0))


def rows_of(source: Stored, folder: Path) -> SharedRows:
    """Return the shared rows of all days; the edges of bins are taken from the first fifth."""
    days = source.get().rows
    span, edges = (int(days[0]), int(days[-1])), int(days[days.size // 5])
    return shared_rows(source, FolderStorage(folder / "rows"), span, edges, ())


def read_shared(source: Stored, folder: Path, number: int) -> None:
    """Read all shared rows."""
    _kept.append((number, float(rows_of(source, folder).rows.x.sum(dtype=np.float64))))


def bin_shared(source: Stored, folder: Path, number: int) -> None:
    """Fit one tree on all shared rows, whose bins stay with them."""
    days, shared = source.get().rows, rows_of(source, folder)
    context = FitContext(0, 1, source.get().features)
    parts = shared.part(days[:-60]), shared.part(days[-60:])
    _kept.append((number, LightGBM(n_estimators=1).fit(*parts, context)))


def copy_quarter(source: Stored, number: int) -> None:
    """Hold a copy of a quarter of the panel."""
    block = source.get().block
    _kept.append((number, np.array(block[: len(block) // 4])))


def memory_mb(pids: Sequence[int]) -> tuple[float, float]:
    """Return the processes' memory in MB: what several share counted once, and what is their own."""
    total = {"Pss": 0, "Pss_Anon": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            key, value = line.split(":")
            if key in total:
                total[key] += int(value.split()[0])
    return total["Pss"] * 1024 / 1e6, total["Pss_Anon"] * 1024 / 1e6


class Peak:
    """The most memory of their own that some processes had at one moment, looked at several times a second."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids, self._over, self.mb = pids, threading.Event(), 0.0
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            self.mb = max(self.mb, memory_mb(self._pids)[1])


def make(folder: Path, days: int) -> tuple[Stored, Stored]:
    """Return the panel and a small one, on disk."""
    return store(random_inputs(days, STOCKS, FEATURES), folder), store(random_inputs(60, 50, FEATURES), folder / "few")


def measure(folder: Path, panel: Stored, few: Stored, workers: int) -> list[dict[str, Any]]:
    """Return the memory of the workers and this process after each step."""
    steps: dict[str, Callable[[int], None]] = {
        "workers have fitted on a few rows": partial(fit_and_score, few, folder / "small"),
        "each has fitted on 20 days and scored the panel": partial(fit_and_score, panel, folder),
        "each has read the shared rows": partial(read_shared, panel, folder),
        "each holds LightGBM's bins of them": partial(bin_shared, panel, folder),
        "each holds a copy of a quarter of the panel": partial(copy_quarter, panel),
    }
    panel_mb = panel.get().block.nbytes / 1e6
    rows: list[dict[str, Any]] = []
    last, pids = (0.0, 0.0), [os.getpid()]
    with executors.parse({"name": "local", "workers": workers}).open() as pool:
        for k, (name, call) in enumerate(steps.items()):
            meet = partial(together, folder / f"meet-{k}", workers, call)
            with Peak(pids) as peak:
                pids = [os.getpid(), *run_all(pool, meet, [{"number": n} for n in range(workers)])]
            assert len(set(pids)) == workers + 1
            now = memory_mb(pids)
            grown = [(a - b) / panel_mb if k else 0.0 for a, b in zip(now, last, strict=True)]
            rows.append(
                {
                    "state": name,
                    "MB in all": round(now[0]),
                    "of it own": round(now[1]),
                    "grown, panels": round(grown[0], 2),
                    "own grown, panels": round(grown[1], 2),
                    "own at most MB": round(max(peak.mb, now[1])),
                }
            )
            last = now
    return rows


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--days", type=int, default=1000)
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as aside:
        panel, few = in_child(make, Path(aside), args.days)
        rows = in_child(measure, Path(aside), panel, few, args.workers)
    mb = args.days * STOCKS * FEATURES * 4 / 1e6
    fitted, shared, _, copied = (row["grown, panels"] for row in rows[1:])
    notes = [
        (
            f"Panel: {args.days:,} days x {STOCKS:,} stocks x {FEATURES} features, {mb:,.0f} MB; {args.workers} "
            f"workers and "
            "this process. Shared rows: all days but those without a label, as large as the panel."
        ),
        (
            "`grown`: against the line above, in panels. A copy for each worker would be "
            f"{args.workers}; the last step's copies are {args.workers / 4:g}."
        ),
        (
            "`own at most`: sum over the processes at one moment during the step. One worker makes the shared rows, "
            "and "
            "LightGBM's bins, in its own memory, while the others wait."
        ),
        f"Goal: at most {GOAL} panels for scoring the panel, and for the shared rows.",
    ]
    facts = {"panel_mb": mb, "workers": args.workers, "panels": {"scored": fitted, "shared": shared, "copied": copied}}
    save("panel_memory", "Memory of many workers on one panel", rows, facts, notes)
    return int(max(fitted, shared) > GOAL or copied < 0.9 * args.workers / 4)

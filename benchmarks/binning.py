"""LightGBM's bins made once for all windows and trials, against bins made for every fit: CPU time and memory.

Twelve half-yearly windows of two years, twenty trials each, with and without the ten folds of a search. The time is
that inside `lightgbm.Dataset`: binning, taking parts of what is binned, and writing the file. Fits of one tree of two
leaves ask for the data exactly as a search does. Of the fits that bin anew, one trial a window is measured and counted
for all.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from alphaloom.models.base import FitContext, Rows, SharedRows
from alphaloom.models.lightgbm import LightGBM
from alphaloom.training.splits.base import Window, window_before
from alphaloom.training.tuning.folds import time_series_folds
from benchmarks.meter import clocked, in_child, measured
from benchmarks.record import save
from benchmarks.tree_objectives import sample

GOAL = 30
"""Least times that shared bins are to save of the time that making datasets takes."""
MONTHS, WINDOW = 4, 24
"""Dates a month, the schedule being weekly; and months that a window trains on."""
DATASETS = tuple((lightgbm.Dataset, name) for name in ("construct", "save_binary", "subset"))


class Case:
    """Rows of weekly dates, the windows on them, and what each trial of a window is fitted on."""

    def __init__(self, folder: Path, n_windows: int, n_folds: int) -> None:
        x, y, offsets = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("x", "y", "offsets"))
        dates = np.arange(offsets.size - 1)
        ends = dates + 1
        starts = [6 * MONTHS * k for k in range(n_windows)]
        self.windows = [
            window_before(
                f"window {k + 1}",
                dates[start : start + WINDOW * MONTHS],
                dates[start + WINDOW * MONTHS : start + (WINDOW + 6) * MONTHS],
                ends,
                valid_share=0.2,
                embargo=0,
            )
            for k, start in enumerate(starts)
        ]
        self.folds: list[Sequence[Window]] = [
            time_series_folds(window, dates, ends, n_folds, valid_share=0.2, embargo=0) if n_folds else [window]
            for window in self.windows
        ]
        edges = int(offsets[self.windows[0].fit_rows[-1] + 1])
        self.shared = SharedRows(Rows(x, y, np.asarray(offsets)), dates, edges, folder)
        self.context = FitContext(0, 1, tuple(f"f{k}" for k in range(x.shape[1])))

    def parts(self, window: int) -> list[tuple[Rows, Rows]]:
        """Return training and validation rows of a window's fits; what libraries make of them stays with them."""
        return [(self.shared.part(fold.train), self.shared.part(fold.valid)) for fold in self.folds[window]]

    def apart(self, rows: Rows) -> Rows:
        """Return the rows as a fit without shared ones has them."""
        return Rows(np.array(rows.x), np.array(rows.y), rows.offsets)

    def fit(self, train: Rows, valid: Rows, seed: int) -> None:
        """Fit one tree of two leaves."""
        LightGBM(n_estimators=1, num_leaves=2).fit(train, valid, FitContext(seed, 1, self.context.features))


def shared_seconds(case: Case, trials: int) -> float:
    """Return the CPU seconds of datasets in a search of all windows."""
    with clocked(*DATASETS) as total:
        for k in range(len(case.windows)):
            parts = case.parts(k)
            for trial in range(trials):
                for train, valid in parts:
                    case.fit(train, valid, trial)
    return total[0]


def rebuilt_seconds(case: Case) -> float:
    """Return the CPU seconds of datasets in one trial of each window, its rows binned anew."""
    with clocked(*DATASETS) as total:
        for k in range(len(case.windows)):
            for train, valid in case.parts(k):
                case.fit(case.apart(train), case.apart(valid), 0)
    return total[0]


def measure(folder: str, n_windows: int, trials: int, n_folds: int, *, share: bool) -> tuple[float, float]:
    """Return CPU seconds of datasets for all trials, and the memory in MB that the process then holds for them."""
    case = Case(Path(folder), n_windows, n_folds)
    warm = sample(2000, 10, 100)
    case.fit(warm, warm, 0)
    with measured() as taken:
        seconds = shared_seconds(case, trials) if share else rebuilt_seconds(case) * trials
    return seconds, taken.kept_mb


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=190_000)
    parser.add_argument("--features", type=int, default=123)
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--folds", type=int, default=10)
    args = parser.parse_args(arguments)
    n_dates = (WINDOW + 6 * args.windows) * MONTHS
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as aside:
        every = sample(args.rows, args.features, -(-args.rows // n_dates))
        for name in ("x", "y", "offsets"):
            np.save(Path(aside) / f"{name}.npy", getattr(every, name))
        raw = (Path(aside) / "x.npy").stat().st_size / 1e6
        for n_folds in (0, args.folds):
            took = {}
            for share in (True, False):
                for file in Path(aside).glob("*.bin"):
                    file.unlink()
                took[share] = in_child(measure, aside, args.windows, args.trials, n_folds, share=share)
                if share:
                    binned = sum(file.stat().st_size for file in Path(aside).glob("*.bin")) / 1e6
            for share, (seconds, kept) in took.items():
                rows.append(
                    {
                        "bins": "shared" if share else "made for every fit",
                        "fits of a trial": n_folds or 1,
                        "fits": args.windows * args.trials * (n_folds or 1),
                        "CPU s of datasets": round(seconds, 2),
                        "times": round(seconds / took[True][0], 1),
                        "MB kept": round(kept),
                        "MB on disk": round(binned) if share else 0,
                    }
                )
    saved = {row["fits of a trial"]: row["times"] for row in rows if row["bins"] != "shared"}
    facts = {"rows_fitted": args.rows, "features": args.features, "windows": args.windows, "trials": args.trials}
    notes = [
        (
            f"{args.rows:,} rows x {args.features} features on {n_dates} weekly dates ({raw:.0f} MB as float32); "
            f"{args.windows} half-yearly windows of two years, {args.trials} trials each; one thread."
        ),
        "`made for every fit`: one trial of each window is measured and its time counted for all of them.",
        (
            "`MB kept`: memory of the process's own after the last fit above that before the first one: the bins of "
            "all rows "
            "and of the last window's fits; files that it maps do not count. `MB on disk`: the file of all bins."
        ),
        f"Goal: at least {GOAL} times less time for datasets.",
    ]
    save("binning", "Bins shared by all windows and trials of a search", rows, facts | {"times": saved}, notes)
    return int(min(saved.values()) < GOAL)

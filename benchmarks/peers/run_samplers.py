"""Runs in qlib's own environment: windows from qlib's time-series sampler and from one in the style of notebooks.

    python run_samplers.py BLOCK.npy

`BLOCK.npy` holds features `[T, N, F]`; a step of a stock without any feature has no row in the frame. Prints a line of
JSON with versions once both samplers are built, then answers each line `PROGRAM STEPS DAY ITEMS` on its input with a
line: the CPU seconds of one batch of the day's windows. `ITEMS` > 0 takes that many of them alone, scaled to all.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import qlib
from qlib.data.dataset import TSDataSampler


class ItemSampler:
    """Windows of a frame with index (date, stock), looked up one at a time, each with the index of its rows.

    Behaves like the sampler of widely copied notebooks: positions lie in a table `[T, N]` of float64 with NaN where a
    stock has no row, and a row of NaN ends the values. Steps without a row take the one before, else the one after.
    """

    def __init__(self, frame: pd.DataFrame, steps: int) -> None:
        frame = frame.sort_index()
        self.steps, self.index = steps, frame.index
        values = frame.to_numpy()
        self.values = np.append(values, np.full((1, values.shape[1]), np.nan, values.dtype), axis=0)
        self.table = pd.Series(np.arange(len(frame), dtype=np.float64), index=frame.index).unstack().to_numpy()
        self.places = np.argwhere(~np.isnan(self.table)).astype(np.int32)  # in the order of the sorted frame

    def __getitem__(self, item: int) -> tuple[np.ndarray, pd.MultiIndex]:
        row, column = self.places[item]
        wanted = self.table[max(row - self.steps + 1, 0) : row + 1, column]
        if len(wanted) < self.steps:
            wanted = np.concatenate([np.full(self.steps - len(wanted), np.nan), wanted])
        wanted = filled(filled(wanted)[::-1])[::-1]
        wanted = np.nan_to_num(wanted.astype(np.float64), nan=-1).astype(int)
        return self.values[wanted], self.index[wanted]


def filled(wanted: np.ndarray) -> np.ndarray:
    """Return the positions, each NaN replaced by the position before it."""
    source = np.where(np.isnan(wanted), 0, np.arange(len(wanted)))
    return wanted[np.maximum.accumulate(source)]


def frame_of(block: np.ndarray) -> pd.DataFrame:
    """Return the long frame with one row for each (date, stock) that has a feature."""
    T, N, F = block.shape
    dates = pd.bdate_range("2015-01-01", periods=T)
    stocks = [f"S{n:05d}" for n in range(N)]
    index = pd.MultiIndex.from_product([dates, stocks], names=["datetime", "instrument"])
    there = ~np.isnan(block).all(axis=2).ravel()
    return pd.DataFrame(block.reshape(-1, F)[there], index=index[there], columns=[f"F{k}" for k in range(F)])


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def batch(program: str, sampler: ItemSampler | TSDataSampler, items: list[int]) -> object:
    """Return the windows of these items `[n, L, F]`, from notebooks with (date, stock) of every row."""
    if program == "qlib_list":
        return sampler[items]
    if program == "qlib":
        return np.stack([sampler[i] for i in items])
    windows, rows = zip(*(sampler[i] for i in items), strict=True)
    return np.stack(windows), [list(row) for row in rows]


def main(file: str) -> None:
    frame = frame_of(np.load(file))
    dates = frame.index.levels[0]
    notebook = ItemSampler(frame, 5)
    theirs = TSDataSampler(frame, dates[0], dates[-1], step_len=5, fillna_type="ffill+bfill")
    ours_of = {day: np.flatnonzero(notebook.places[:, 0] == day) for day in np.unique(notebook.places[:, 0])}
    theirs_of = {day: np.flatnonzero(theirs.idx_map[:, 0] == day) for day in ours_of}
    versions = {"qlib": qlib.__version__, "pandas": pd.__version__, "numpy": np.__version__}
    print(json.dumps({"versions": versions}), flush=True)
    for line in sys.stdin:
        program, steps, day, items = line.split()
        chosen = (ours_of if program == "notebook" else theirs_of)[int(day)]
        some = [int(i) for i in (chosen[: int(items)] if int(items) else chosen)]
        notebook.steps = theirs.step_len = int(steps)
        sampler = notebook if program == "notebook" else theirs
        taken = cpu(partial(batch, program, sampler, some)) * len(chosen) / len(some)
        print(json.dumps({"cpu_s": taken, "windows": len(chosen)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

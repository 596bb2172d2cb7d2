"""Backtest paths: the stored scores of windows that test the same dates, kept apart instead of averaged."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from alphaloom.panel import Panel
from alphaloom.training.rolling import cells_of
from alphaloom.training.splits import Split, Window
from alphaloom.typing import Floats


def path_scores(
    panel: Panel, split: Split, windows: Sequence[Window], folder: Path, model: str, repeats: int
) -> list[Floats]:
    """Return one model's scores `[T, N]` along each path of the split; NaN where it has none.

    Args:
        panel: axes.
        split: what made the windows.
        windows: all of them, finished.
        folder: as given to `run_rolling`.
        model: its name.
        repeats: fits of it on each window, averaged.
    """
    own = []
    for window in windows:
        scores = np.full((repeats, *panel.shape), np.nan, dtype=np.float32)
        for k in range(repeats):
            frame = pl.read_parquet(folder / window.name / f"{model}-s{k}" / "scores.parquet")
            scores[(k, *cells_of(panel, frame))] = frame["score"].to_numpy()
        own.append(scores.mean(axis=0))
    out = []
    for path in split.paths(windows):
        along = np.full(panel.shape, np.nan, dtype=np.float32)
        for k, rows in path:
            along[rows] = own[k][rows]
        out.append(along)
    return out

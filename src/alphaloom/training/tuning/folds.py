"""Folds of time-series cross-validation inside a window: later dates test."""

import numpy as np

from alphaloom.training.splits.base import Window, window_before
from alphaloom.typing import Ints


def time_series_folds(
    window: Window, rows: Ints, ends: Ints, folds: int, *, valid_share: float, embargo: int
) -> list[Window]:
    """Return the folds of a window's training and validation dates, the earliest first.

    The dates are cut into `folds + 1` runs of like length; fold k tests the run k by a fit on all runs before it, the
    latest `valid_share` of them for early stopping. Labels of each set end before the next one begins, as in a window.
    No fold has a date beyond the window's last training or validation date, and no label of it a day that the window's
    test dates lie on.

    Args:
        window: of which `train` and `valid` are used.
        rows: all sample dates; those between the window's first and last one that were purged there may serve here.
        ends: last row that each row's label reads `[T]`.
        folds: how many.
        valid_share: share of each fold's training dates.
        embargo: trading days left out before validation and test dates.

    Raises:
        DataError: a fold has no training or validation date left.

    Source: seed 001 section 3.1.2 and Figure 2.
    """
    fit = window.fit_rows
    inside = rows[(rows >= fit[0]) & (rows <= fit[-1])]
    parts = np.array_split(inside, folds + 1)
    out = []
    for k in range(1, folds + 1):
        span = np.concatenate(parts[:k])
        name = f"{window.name}, fold {k} of {folds}"
        out.append(window_before(name, span, parts[k], ends, valid_share=valid_share, embargo=embargo))
    return out

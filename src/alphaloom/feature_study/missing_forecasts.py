"""Forecasts made of all features: equally weighted, and by ridge regression, fitted on the past and judged later."""

import numpy as np
import scipy.linalg

from alphaloom.errors import DataError
from alphaloom.feature_study.blocks import MIN_NAMES, FeatureBlock, Judged, rank_ics
from alphaloom.kernels.cross_block import zscore
from alphaloom.typing import Doubles, Floats

PENALTY = 0.1
"""L2 penalty of the ridge regression, in units of feature variance."""
BOUND = 3.0
"""Standardised values are held within this many deviations."""


class Forecasts:
    """Fits composite and ridge on the rows before `split` and judges them on the later ones, in one pass."""

    def __init__(self, n_columns: int, n_own: int, data: Judged, split: int) -> None:
        self.data, self.split, self.n_own = data, split, n_own
        self.gram = np.zeros((n_columns, n_columns))
        self.moment = np.zeros(n_columns)
        self.count = 0
        self.early_ic: list[Doubles] = []
        self.weights: Doubles | None = None
        self.sign = np.zeros(n_columns, dtype=np.float64)
        self.judged: list[Doubles] = [np.empty((0, 2))]

    def feed(self, block: FeatureBlock, rank_ic: Doubles) -> None:
        """Take the next block of features; they are standardised where they lie."""
        values, universe = block.values, self.data.panel.universe[block.start : block.stop]
        zscore(values, universe, 1, BOUND)
        np.nan_to_num(values, copy=False, nan=0.0)
        scores = np.full((block.stop - block.start, values.shape[1], 2), np.nan, dtype=np.float32)
        for t in range(block.start, block.stop):
            day, label = values[t - block.start], self.data.label[t]
            labelled = np.isfinite(label)
            if t < self.split:
                if self.data.ends[t] < self.split and labelled.sum() >= MIN_NAMES:
                    self._learn(day[labelled], label[labelled], rank_ic[t - block.start])
                continue
            weights = self._solved()
            scores[t - block.start, labelled, 0] = day[labelled] @ self.sign
            scores[t - block.start, labelled, 1] = day[labelled] @ weights
        later = max(block.start, self.split)
        if later < block.stop:
            label = self.data.label[later : block.stop]
            self.judged.append(rank_ics(scores[later - block.start :], label))

    def result(self) -> tuple[Doubles, Doubles]:
        """Return the RankIC of composite and ridge on the later dates, each `[D2]`."""
        both = np.concatenate(self.judged)
        return both[:, 0], both[:, 1]

    def _learn(self, x: Floats, y: Floats, rank_ic: Doubles) -> None:
        """Add one day; the label becomes its centred rank, so that no day and no outlier weighs more."""
        target = np.argsort(np.argsort(y, kind="stable"), kind="stable") / y.size - (y.size - 1) / (2 * y.size)
        z = x - x.mean(axis=0)
        self.gram += z.T @ z
        self.moment += z.T @ target
        self.count += y.size
        self.early_ic.append(rank_ic)

    def _solved(self) -> Doubles:
        if self.weights is None:
            if not self.count:
                raise DataError(
                    f"No day before {self.data.panel.dates[self.split]} has {MIN_NAMES} stocks with a label: "
                    "nothing can be fitted. Choose more days or stocks."
                )
            gram = self.gram / self.count + PENALTY * np.eye(self.moment.size)
            self.weights = np.asarray(scipy.linalg.solve(gram, self.moment / self.count, assume_a="pos"))
            mean = column_mean(np.array(self.early_ic))
            self.sign[: self.n_own] = np.sign(np.nan_to_num(mean)) / self.n_own
        return self.weights


def column_mean(values: Doubles) -> Doubles:
    """Return the mean of each column over the rows where it is known `[F]`; NaN without any."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, known.sum(axis=0), out=np.full(total.size, np.nan), where=known.any(axis=0)))

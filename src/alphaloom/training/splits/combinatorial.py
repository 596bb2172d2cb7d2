"""Combinatorial purged cross-validation: every choice of test folds, joined to many backtest paths."""

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from alphaloom.training.splits.base import Path, Split, Window, folds_of, splits, window_around
from alphaloom.typing import Dates, Ints


@splits.register("combinatorial")
class Combinatorial(Split):
    """Every choice of k of N folds is tested by a fit on the others: C(N, k) fits, C(N - 1, k - 1) paths over all
    dates.

    The embargo lies after the last day that the labels of each run of tested folds read. A date's score is the mean
    over the fits that test it; `paths` keeps them apart: look at how results spread over them, never at the best.

    Source: Lopez de Prado (2018), chapter 12.
    """

    trains_on_future: ClassVar[bool] = True

    folds: Annotated[int, Field(ge=3, le=30)] = 6
    """N, the number of folds."""
    tested: Annotated[int, Field(ge=2)] = 2
    """k, how many of them each fit is tested on."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.tested >= self.folds:
            raise ValueError(f"tested must be below folds ({self.folds}), so that some are left to fit on")
        fits = comb(self.folds, self.tested)
        if fits > 1000:
            raise ValueError(
                f"{self.tested} of {self.folds} folds make {fits:,} fits of every model; 1,000 are allowed"
            )
        return self

    def windows(self, dates: Dates, rows: Ints, ends: Ints) -> list[Window]:
        """Return one window a choice, named by its folds (`folds-01-04`), in lexical order (see `Split.windows`)."""
        parts = folds_of(rows, self.folds)
        return [
            window_around(
                "folds-" + "-".join(f"{k + 1:02d}" for k in chosen),
                rows,
                np.concatenate([parts[k] for k in chosen]),
                ends,
                self,
                after=self.embargo,
            )
            for chosen in combinations(range(self.folds), self.tested)
        ]

    def paths(self, windows: Sequence[Window]) -> list[Path]:
        """Return the C(N - 1, k - 1) paths: the p-th one scores each fold by the p-th window that tests it."""
        rows = np.unique(np.concatenate([window.test for window in windows]))
        parts = folds_of(rows, self.folds)
        testers = [[k for k, window in enumerate(windows) if part[0] in window.test] for part in parts]
        return [[(given[p], part) for given, part in zip(testers, parts, strict=True)] for p in range(len(testers[0]))]

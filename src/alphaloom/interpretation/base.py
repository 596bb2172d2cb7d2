"""What a method of interpretation is: it takes a model's fits with the inputs they scored, and returns small frames."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import polars as pl

from alphaloom.kernels.cross_rank import rank
from alphaloom.registry import Registry
from alphaloom.spec import Component
from alphaloom.training.fit import Fitted
from alphaloom.training.samples import Samples
from alphaloom.typing import Bools, Dates, Doubles, Floats, Ints

Tell = Callable[[int, int], None]
"""Called with how many days are done, and how many there are."""
Frames = Mapping[str, pl.DataFrame]
"""A method's tables, by the names in `Method.tables`."""


@dataclass(frozen=True, eq=False)
class Subject:
    """One model on one window's test dates: its fits and the inputs that they score, after the stored transforms."""

    model: str
    window: str
    fits: tuple[Fitted, ...]
    """Repeats of the model; what is told of it is the mean over them, as its score is."""
    samples: Samples
    """The D test dates with their history; every label is missing."""
    dates: Dates
    """The D test dates."""
    correlation: Doubles
    """Mean cross-sectional rank correlation of every two features over the run's test dates `[F, F]`."""
    label: Floats | None = None
    """What the model was fitted to, on the test dates `[D, N]`, for methods that judge; None for all others."""
    overlap: int = 1
    """How many neighbouring test dates' labels share returns."""
    seed: int = 0
    threads: int = 1

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the F features."""
        return self.fits[0].features

    def thinned(self, days: int | None) -> Self:
        """Return the subject with at most so many test dates, evenly spaced; all for None.

        `overlap` is then told in those dates.
        """
        D = self.dates.size
        if days is None or days >= D:
            return self
        keep = np.unique(np.linspace(0, D - 1, days).round().astype(np.int64))
        return replace(
            self,
            samples=self.samples.subset(self.samples.rows[keep]),
            dates=self.dates[keep],
            label=None if self.label is None else self.label[keep],
            overlap=max(1, math.ceil(self.overlap * keep.size / D)),
        )

    def chosen(self, position: int, n: int, most: int | None) -> Ints:
        """Return which of a day's n stocks are looked at: all, or `most` drawn from the seed and the date."""
        if most is None or n <= most:
            return np.arange(n)
        day = int(self.dates[position].astype(np.int64))
        return np.sort(np.random.default_rng((self.seed, day)).choice(n, most, replace=False))


class Method(Component, ABC):
    """A way of telling what a fitted model learned. It refits nothing and sees test dates alone."""

    reads_labels: ClassVar[bool] = False
    """Whether it is given the labels of the test dates."""
    is_cheap: ClassVar[bool] = False
    """Whether it costs next to nothing beside a fit: then it is part of a run that says nothing about methods."""
    tables: ClassVar[tuple[str, ...]]
    """Names of the frames that `explain` returns; the first is the main one."""

    @abstractmethod
    def lacking(self, fitted: Fitted) -> str:
        """Return why it cannot explain this model, in a few words, or an empty string when it can."""

    @abstractmethod
    def explain(self, subject: Subject, tell: Tell) -> dict[str, pl.DataFrame]:
        """Return its tables for one model on one window; frames of any window can be put below each other."""

    @abstractmethod
    def summary(self, frames: Frames) -> pl.DataFrame:
        """Return one table on all windows, `model` first, the most telling rows of each model on top.

        The frames are those of `explain` with `model` and `window` in front.
        """


methods: Registry[Method] = Registry("method", Method, "alphaloom.interpretation")


@dataclass(frozen=True, eq=False)
class Interpretation:
    """What one method found in a run: its tables over all models and windows that were explained."""

    method: Method
    frames: Frames

    def models(self) -> list[str]:
        """Return the models that were explained, in order."""
        return self.main["model"].unique(maintain_order=True).to_list()

    @property
    def main(self) -> pl.DataFrame:
        """The method's first table."""
        return self.frames[type(self.method).tables[0]]

    def summary(self) -> pl.DataFrame:
        """Return the method's table on all windows."""
        return self.method.summary(self.frames)


def rank_correlation(block: Floats, member: Bools, rows: Ints) -> Doubles:
    """Return the mean rank correlation of every two features across the members of some dates `[F, F]`.

    Each pair over the stocks that have both; NaN where there is no date on which both vary.

    Args:
        block: `[T, N, F]`.
        member: `[T, N]`.
        rows: the dates.
    """
    F = block.shape[2]
    total, dates = np.zeros((F, F)), np.zeros((F, F))
    for row in rows:
        day = np.ascontiguousarray(block[row, member[row]])[None]
        counts = rank(day, np.ones(day.shape[:2], dtype=np.bool_))
        ranks = day[0] - (counts + 1) / 2
        known = (~np.isnan(ranks)).astype(np.float64)
        z = np.nan_to_num(ranks.astype(np.float64))
        norm = (z * z).T @ known
        spread = np.sqrt(norm * norm.T)
        total += np.divide(z.T @ z, spread, out=np.zeros_like(spread), where=spread > 0)
        dates += spread > 0
    return np.asarray(np.divide(total, dates, out=np.full((F, F), np.nan), where=dates > 0))


def date_column(dates: Sequence[np.datetime64] | Dates, times: int) -> pl.Series:
    """Return a date column with each date so many times in a row."""
    return pl.Series("date", np.repeat(np.asarray(dates, dtype="datetime64[D]"), times)).cast(pl.Date)


def by_size(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return the rows with models in the order in which they first appear, the largest `key` first in each."""
    order = {name: k for k, name in enumerate(dict.fromkeys(frame["model"]))}
    first = pl.col("model").replace_strict(order, default=None, return_dtype=pl.Int64)
    return frame.sort(first, key, descending=[False, True], nulls_last=True, maintain_order=True)

"""Two series compared date by date: is the mean of their differences more than chance?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from alphaloom.evaluation.inference import MeanTest, mean_test


@dataclass(frozen=True)
class PairedTest:
    """The mean of `second - first` over the dates that both have.

    Attributes:
        test: of the differences; its `mean` is the difference, all but `n` and `mean` NaN where every date's is equal.
        first, last: dates.
        mean_a, mean_b: of the first and of the second series on those dates.
    """

    test: MeanTest
    first: date
    last: date
    mean_a: float
    mean_b: float


def paired_test(
    a: pl.DataFrame,
    b: pl.DataFrame,
    *,
    steps: int = 1,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> PairedTest | None:
    """Return the test of `b` less `a`, each with `date` and `value`; None with fewer than three common dates.

    Differences are taken date by date and their mean is tested like any other (`mean_test`): resampling them keeps the
    pairs together. Missing and infinite values do not count. The other arguments are those of `mean_test`.
    """
    both = a.select("date", "value").join(b.select("date", "value"), on="date", suffix="_b").drop_nulls().sort("date")
    first, second = (both[name].cast(pl.Float64).to_numpy() for name in ("value", "value_b"))
    keep = np.isfinite(first) & np.isfinite(second)
    if keep.sum() < 3:
        return None
    days = both["date"].filter(pl.Series(keep))
    return PairedTest(
        test=mean_test(second[keep] - first[keep], steps=steps, level=level, resamples=resamples, seed=seed),
        first=days[0],
        last=days[-1],
        mean_a=float(first[keep].mean()),
        mean_b=float(second[keep].mean()),
    )


def mean_by_date(series: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return `date, value`: the mean of several series, each `date, value`, on the dates that all of them have.

    Missing and infinite values do not count as had.
    """
    value = pl.col("value").cast(pl.Float64)
    known = [frame.select("date", value).filter(pl.col("value").is_finite()) for frame in series]
    means = pl.concat(known).group_by("date").agg(pl.col("value").mean(), pl.len().alias("count"))
    return means.filter(pl.col("count") == len(known)).drop("count").sort("date")

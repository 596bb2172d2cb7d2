"""Information coefficients: the cross-sectional correlation of score and forward return, one value a date."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from alphaloom.errors import AlignmentError
from alphaloom.kernels import cross_rank as kernels
from alphaloom.typing import Array, Doubles, Ints


@dataclass(frozen=True, eq=False)
class ICSeries:
    """Daily correlations `[D]`: `ic` of values (Pearson), `rank_ic` of average-tie ranks (Spearman), `n` pairs.

    NaN where fewer than the asked number of names have both values, or where either side is constant.
    """

    ic: Doubles
    rank_ic: Doubles
    n: Ints


def rank_rows(values: Array) -> Doubles:
    """Return ranks 1 .. n within each row of `[D, N]`, ties averaged; NaN stays NaN and is not counted."""
    x = np.asarray(values)
    D, N = x.shape
    if N == 0:
        return np.empty((D, 0))
    order = np.argsort(x, axis=1)
    ordered = np.take_along_axis(x, order, axis=1)
    place = np.broadcast_to(np.arange(N), (D, N))
    starts = np.ones((D, N), dtype=np.bool_)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    if starts.all():
        sorted_ranks = place + 1.0
    else:
        first = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
        ends = np.ones((D, N), dtype=np.bool_)
        ends[:, :-1] = starts[:, 1:]
        last = np.minimum.accumulate(np.where(ends, place, N - 1)[:, ::-1], axis=1)[:, ::-1]
        sorted_ranks = (first + last) / 2.0 + 1.0
    ranks = np.empty((D, N))
    np.put_along_axis(ranks, order, sorted_ranks, axis=1)
    ranks[np.isnan(x)] = np.nan
    return ranks


def ic_series(score: Array, returns: Array, *, min_names: int = 20) -> ICSeries:
    """Return IC and RankIC of every date over names with both a score and a return.

    RankIC compares values as float32: returns that agree to seven digits count as tied.

    Args:
        score: `[D, N]`; NaN where there is none.
        returns: `[D, N]` forward returns; NaN where there is none.
        min_names: fewest pairs for which a date counts.

    Raises:
        AlignmentError: the arrays have different shapes.
    """
    if score.shape != returns.shape or score.ndim != 2:
        raise AlignmentError(f"Scores and returns must both be [D, N]; got {score.shape} and {returns.shape}.")
    pearson, _ = kernels.ic(score, returns)
    spearman, n = kernels.rank_ic(score, returns)
    thin = n < min_names
    pearson[thin] = spearman[thin] = np.nan
    return ICSeries(pearson, spearman, n)


def critical_correlation(n: Array, level: float = 0.05) -> Doubles:
    """Return the size above which a correlation of `n` pairs differs from 0, two-sided at `level`.

    From Student's t: `t / sqrt(n - 2 + t^2)` with `n - 2` degrees of freedom; 1 where `n < 3`. Names move together, so
    this is the convention of single-factor tables and not a test of skill.
    """
    freedom = np.maximum(np.asarray(n, dtype=np.float64) - 2.0, 1.0)
    t = special.stdtrit(freedom, 1.0 - level / 2.0)
    return np.where(np.asarray(n) >= 3, t / np.sqrt(freedom + t * t), 1.0)

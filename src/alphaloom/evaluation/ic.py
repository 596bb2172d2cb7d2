"""Information coefficients: the cross-sectional correlation of score and forward return, one value a date."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from alphaloom.errors import AlignmentError
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


def correlate_rows(x: Array, y: Array, *, min_names: int = 2) -> tuple[Doubles, Ints]:
    """Return Pearson correlations `[D]` over the columns where both `[D, N]` arrays have values, and their number.

    NaN where fewer than `min_names` pairs exist or one side does not vary.
    """
    both = ~(np.isnan(x) | np.isnan(y))
    n = both.sum(axis=1)
    a, b = _centred(x, both, n), _centred(y, both, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    usable = (n >= max(min_names, 2)) & _varies(x, both) & _varies(y, both)
    return np.where(usable, np.clip(r, -1.0, 1.0), np.nan), n


def ic_series(score: Array, returns: Array, *, min_names: int = 20) -> ICSeries:
    """Return IC and RankIC of every date over names with both a score and a return.

    Args:
        score: `[D, N]`; NaN where there is none.
        returns: `[D, N]` forward returns; NaN where there is none.
        min_names: fewest pairs for which a date counts.

    Raises:
        AlignmentError: the arrays have different shapes.
    """
    if score.shape != returns.shape or score.ndim != 2:
        raise AlignmentError(f"Scores and returns must both be [D, N]; got {score.shape} and {returns.shape}.")
    both = ~(np.isnan(score) | np.isnan(returns))
    ic, n = correlate_rows(score, returns, min_names=min_names)
    rank_ic, _ = correlate_rows(
        rank_rows(np.where(both, score, np.nan)), rank_rows(np.where(both, returns, np.nan)), min_names=min_names
    )
    return ICSeries(ic, rank_ic, n.astype(np.int64))


def critical_correlation(n: Array, level: float = 0.05) -> Doubles:
    """Return the size above which a correlation of `n` pairs differs from 0, two-sided at `level`.

    From Student's t: `t / sqrt(n - 2 + t^2)` with `n - 2` degrees of freedom; 1 where `n < 3`. Names move together, so
    this is the convention of single-factor tables and not a test of skill.
    """
    freedom = np.maximum(np.asarray(n, dtype=np.float64) - 2.0, 1.0)
    t = special.stdtrit(freedom, 1.0 - level / 2.0)
    return np.where(np.asarray(n) >= 3, t / np.sqrt(freedom + t * t), 1.0)


def _centred(x: Array, keep: Array, n: Array) -> Doubles:
    kept = np.where(keep, x, 0.0).astype(np.float64)
    mean = kept.sum(axis=1) / np.maximum(n, 1)
    centred: Doubles = np.where(keep, kept - mean[:, None], 0.0)
    return centred


def _varies(x: Array, keep: Array) -> Array:
    high = np.where(keep, x, -np.inf).max(axis=1, initial=-np.inf)
    low = np.where(keep, x, np.inf).min(axis=1, initial=np.inf)
    return np.asarray(high > low)

"""Quantile portfolios of a score: returns, curves and turnover."""

import numpy as np

from alphaloom.evaluation.ic import rank_rows
from alphaloom.kernels.cross_rank import rank_ic
from alphaloom.typing import Array, Bools, Doubles, Ints


def assign_quantiles(score: Array, quantiles: int, *, min_names: int = 20) -> Ints:
    """Return the quantile of each name, `[D, N]`: 0 the lowest scores, `quantiles - 1` the highest, -1 none.

    Every scored name is placed, whether or not its return is known later: placing by later returns would look ahead.
    Tied scores share a quantile. Dates with fewer than `max(min_names, quantiles)` scores have none.
    """
    n = (~np.isnan(score)).sum(axis=1, keepdims=True)
    share = (rank_rows(score) - 0.5) / np.maximum(n, 1)
    placed = ~np.isnan(score) & (n >= max(min_names, quantiles))
    with np.errstate(invalid="ignore"):
        bucket = np.floor(share * quantiles)
    return np.where(placed, np.nan_to_num(bucket), -1).astype(np.int64)


def quantile_returns(bucket: Ints, returns: Array, quantiles: int) -> tuple[Doubles, Ints]:
    """Return the equal-weighted mean return of each quantile `[D, Q]` and how many names it is made of.

    Names without a return are left out of the mean; NaN where none has one.
    """
    D = bucket.shape[0]
    used = (bucket >= 0) & ~np.isnan(returns)
    cell = (np.arange(D)[:, None] * quantiles + bucket)[used]
    count = np.bincount(cell, minlength=D * quantiles).reshape(D, quantiles)
    total = np.bincount(cell, weights=returns[used], minlength=D * quantiles).reshape(D, quantiles)
    mean = np.divide(total, count, out=np.full((D, quantiles), np.nan), where=count > 0)
    return mean, count.astype(np.int64)


def quantile_turnover(bucket: Ints, quantiles: int, *, steps: int = 1) -> Doubles:
    """Return the share of each quantile's names that were not in it `steps` dates before, `[D, Q]`.

    One-way turnover of an equal-weighted portfolio when no name leaves unreplaced. NaN on the first `steps` dates and
    where either side is empty.
    """
    D = bucket.shape[0]
    turnover = np.full((D, quantiles), np.nan)
    if steps >= D:
        return turnover
    for q in range(quantiles):
        member = bucket == q
        now, before = member[steps:], member[:-steps]
        size = now.sum(axis=1)
        stayed = (now & before).sum(axis=1)
        known = (size > 0) & before.any(axis=1)
        turnover[steps:, q][known] = 1.0 - stayed[known] / size[known]
    return turnover


def rank_autocorrelation(score: Array, *, steps: int = 1, min_names: int = 20) -> Doubles:
    """Return the rank correlation of each date's scores with those `steps` dates before, `[D]`, over common names."""
    result = np.full(score.shape[0], np.nan)
    if score.shape[0] <= steps:
        return result
    values, n = rank_ic(score[steps:], score[:-steps])
    result[steps:] = np.where(n >= min_names, values, np.nan)
    return result


def chain_dates(complete: Bools, steps: int) -> Ints:
    """Return the dates `[C]` at which back-to-back holding periods begin: every `steps`-th, where `complete`.

    Compounding overlapping returns would count the same days several times.
    """
    rows = np.arange(0, complete.size, steps, dtype=np.int64)
    return rows[complete[rows]]


def spread_cost(turnover: Doubles, cost_bps: float) -> Doubles:
    """Return the cost `[D]` of keeping long the top and short the bottom quantile, as a fraction of one leg.

    Each leg sells and buys its turnover, `2 x turnover x cost_bps`; where turnover is unknown (the first dates) the leg
    is opened, `1 x cost_bps`. Borrowing costs are not included.
    """
    traded = np.where(np.isnan(turnover), 1.0, 2.0 * turnover)
    cost: Doubles = (traded[:, 0] + traded[:, -1]) * cost_bps / 1e4
    return cost


def monotonicity(means: Array) -> float:
    """Return the rank correlation of quantile number and mean return: 1 when every step up pays more."""
    values, _ = rank_ic(np.arange(means.size)[None], np.asarray(means)[None])
    return float(values[0])

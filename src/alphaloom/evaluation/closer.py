"""Closer looks at a signal: weighted by size or liquidity, within groups, and without what styles explain of it."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from alphaloom.evaluation.context import Context
from alphaloom.evaluation.forward import Forward
from alphaloom.evaluation.ic import ic_series
from alphaloom.evaluation.inference import mean_test
from alphaloom.evaluation.settings import EvaluationSettings
from alphaloom.kernels.cross_rank import rank_ic
from alphaloom.typing import Array, Bools, Doubles, Ints

WEIGHTED = ("horizon", "weights", "ic", "ic_t", "spread", "spread_t", "n")
GROUPS = ("group", "names", "rank_ic", "se", "t", "spread", "n")
EXPOSURES = ("style", "exposure", "exposure_std", "rank_ic_of_style")


def weighted_ic(score: Array, returns: Array, weights: Array, *, min_names: int = 20) -> Doubles:
    """Return the weighted Pearson correlation of each date `[D]`.

    `cov_w / sqrt(var_w var_w)` about weighted means, over stocks with score, return and a positive weight; NaN with
    fewer than `min_names` of them or where either side is constant.

    Source: seed 002, the weighted Pearson of its loss and its evaluation.
    """
    used = ~(np.isnan(score) | np.isnan(returns)) & (weights > 0)
    w = np.where(used, weights, 0.0).astype(np.float64)
    total = w.sum(axis=1, keepdims=True)
    w = np.divide(w, total, out=np.zeros_like(w), where=total > 0)
    x, y = (np.where(used, values, 0.0).astype(np.float64) for values in (score, returns))
    dx, dy = (values - (w * values).sum(axis=1, keepdims=True) for values in (x, y))
    xx, yy, xy = (w * dx * dx).sum(axis=1), (w * dy * dy).sum(axis=1), (w * dx * dy).sum(axis=1)
    # What rounding leaves of a constant is no variation.
    known = (used.sum(axis=1) >= min_names) & (xx > 1e-24 * (w * x * x).sum(axis=1))
    known &= yy > 1e-24 * (w * y * y).sum(axis=1)
    return np.asarray(np.divide(xy, np.sqrt(xx * yy), out=np.full(xy.size, np.nan), where=known))


def weighted_quantile_returns(bucket: Ints, returns: Array, weights: Array, quantiles: int) -> Doubles:
    """Return the weighted mean return of each quantile `[D, Q]`; stocks are placed as without weights.

    Over stocks with a return and a positive weight; NaN where there is none.
    """
    D = bucket.shape[0]
    used = (bucket >= 0) & ~np.isnan(returns) & (weights > 0)
    cell = (np.arange(D)[:, None] * quantiles + bucket)[used]
    w = np.asarray(weights[used], dtype=np.float64)
    total = np.bincount(cell, weights=w, minlength=D * quantiles).reshape(D, quantiles)
    value = np.bincount(cell, weights=w * returns[used], minlength=D * quantiles).reshape(D, quantiles)
    return np.asarray(np.divide(value, total, out=np.full((D, quantiles), np.nan), where=total > 0))


def weighted_table(
    score: Array, bucket: Ints, forward: Mapping[str, Forward], context: Context, settings: EvaluationSettings
) -> pl.DataFrame:
    """Return `horizon, weights, ic, ic_t, spread, spread_t, n`: weighted Pearson IC and top less bottom, Newey-West
    t.
    """
    rows = []
    for horizon, item in forward.items():
        for name, weights in context.weights.items():
            ic = mean_test(
                weighted_ic(score, item.returns, weights, min_names=settings.min_names), steps=item.steps, resamples=2
            )
            returns = weighted_quantile_returns(bucket, item.returns, weights, settings.quantiles)
            spread = mean_test(returns[:, -1] - returns[:, 0], steps=item.steps, resamples=2)
            rows.append((horizon, name, ic.mean, ic.t_newey_west, spread.mean, spread.t_newey_west, ic.n))
    return pl.DataFrame(rows, schema=_schema(WEIGHTED, text=2, counts=("n",)), orient="row")


def group_table(score: Array, forward: Forward, context: Context) -> pl.DataFrame:
    """Return `group, names, rank_ic, se, t, spread, n`, best first: RankIC and upper less lower half within each group.

    Dates on which a group has under five stocks with score and return do not count for it.
    """
    rows = []
    groups = context.groups
    for code, name in enumerate(context.group_names if groups is not None else ()):
        inside = np.where(groups == code, score, np.nan)
        there = ~np.isnan(inside).all(axis=0)
        if not there.any():
            continue
        own, returns = inside[:, there], forward.returns[:, there]
        series = ic_series(own, returns, min_names=5)
        test = mean_test(series.rank_ic, steps=forward.steps, resamples=2)
        if not test.n:
            continue
        spread = _halves(own, returns)
        size = float(series.n[series.n >= 5].mean())
        rows.append((name, size, test.mean, test.se, test.t_newey_west, spread, test.n))
    table = pl.DataFrame(rows, schema=_schema(GROUPS, text=1, counts=("n",)), orient="row")
    return table.sort("rank_ic", descending=True)


def exposure_table(score: Array, forward: Forward, context: Context) -> pl.DataFrame:
    """Return `style, exposure, exposure_std, rank_ic_of_style`: how scores rank with each style, and what it paid.

    `exposure` is the mean over dates of the rank correlation of score and style, `rank_ic_of_style` of style and
    return.
    """
    rows = []
    for name, style in context.exposures.items():
        held, paid = rank_ic(score, style)[0], rank_ic(style, forward.returns)[0]
        held, paid = held[~np.isnan(held)], paid[~np.isnan(paid)]
        if held.size > 1:
            value = float(paid.mean()) if paid.size else float("nan")
            rows.append((name, float(held.mean()), float(held.std(ddof=1)), value))
    return pl.DataFrame(rows, schema=_schema(EXPOSURES, text=1), orient="row")


def neutral_score(score: Array, context: Context) -> Doubles:
    """Return what exposures and groups do not explain of the scores `[D, N]`: equal-weighted residuals of each date.

    Scores and exposures are taken less their group's mean, then the scores are regressed on the exposures. NaN where
    the score, an exposure or the group is unknown. Reads each date alone.
    """
    exposures = list(context.exposures.values())
    groups = np.zeros(score.shape, dtype=np.int64) if context.groups is None else context.groups
    known: Bools = ~np.isnan(score) & (groups >= 0)
    for style in exposures:
        known &= ~np.isnan(style)
    out = np.full(score.shape, np.nan)
    for d in range(score.shape[0]):
        inside = known[d]
        if inside.sum() <= len(exposures) + 1:
            continue
        code = groups[d, inside]
        size = np.maximum(np.bincount(code), 1)
        columns = [np.asarray(values[d, inside], dtype=np.float64) for values in (score, *exposures)]
        y, *X = (column - (np.bincount(code, weights=column) / size)[code] for column in columns)
        if X:
            matrix = np.column_stack(X)
            y = y - matrix @ np.linalg.lstsq(matrix, y, rcond=None)[0]
        out[d, inside] = y
    # What rounding leaves of scores that are explained in full is no score.
    floor = 1e-9 * np.nanmax(np.abs(score), axis=1, initial=0.0, keepdims=True, where=known)
    return np.where(np.nanmax(np.abs(out), axis=1, initial=0.0, keepdims=True, where=known) > floor, out, np.nan)


def _halves(score: Array, returns: Array) -> float:
    """Return the mean over dates of the return of scores above the date's median less that of those below."""
    known = ~(np.isnan(score) | np.isnan(returns))
    seen = np.where(known, score, np.nan)
    rows = known.sum(axis=1) >= 5
    if not rows.any():
        return float("nan")
    seen, returns, known = seen[rows], returns[rows], known[rows]
    middle = np.nanmedian(seen, axis=1, keepdims=True)
    above, below = known & (seen > middle), known & (seen < middle)
    both = above.any(axis=1) & below.any(axis=1)
    if not both.any():
        return float("nan")
    means = [np.where(half, returns, 0.0).sum(axis=1)[both] / half.sum(axis=1)[both] for half in (above, below)]
    return float((means[0] - means[1]).mean())


def _schema(names: tuple[str, ...], *, text: int, counts: tuple[str, ...] = ()) -> dict[str, type[pl.DataType]]:
    return {name: pl.String if k < text else pl.Int64 if name in counts else pl.Float64 for k, name in enumerate(names)}

# mypy: allow-untyped-decorators
"""One date's cross-section: winsorise, standardise, regress out."""

from collections.abc import Sequence

import numpy as np
from numba import njit

from alphaloom.panel import Panel
from alphaloom.typing import Bools, Doubles, Floats

BOUND = 3.0
"""Winsorised at this many standard deviations from the mean."""


@njit(cache=True, error_model="numpy", nogil=True)
def standardise(x: Floats, universe: Bools, cap: Floats) -> Floats:
    """Return exposures `[T, N]`: winsorised, cap-weighted mean 0 and equal-weighted standard deviation 1 per date.

    Statistics are those of the universe's members with a value; they apply to every stock with a value. Members with an
    unknown `cap` have no part in the cap-weighted mean; a date on which no member has one is NaN. A date without
    spread is 0. Source: the CNE5 convention; bounds at 3 standard deviations from the mean, both equal-weighted.
    """
    T, N = x.shape
    out = np.full((T, N), np.nan, np.float32)
    for t in range(T):
        used = universe[t] & np.isfinite(x[t])
        values = x[t][used].astype(np.float64)
        weights = np.where(cap[t][used] > 0.0, cap[t][used], 0.0).astype(np.float64)
        if values.size == 0 or weights.sum() == 0.0:
            continue
        centre, spread = values.mean(), values.std()
        low, high = centre - BOUND * spread, centre + BOUND * spread
        values = np.minimum(np.maximum(values, low), high)
        shift, scale = (weights * values).sum() / weights.sum(), values.std()
        # Rounding of equal float32 values is no spread.
        flat = scale <= 1e-7 * abs(centre)
        for i in range(N):
            if np.isfinite(x[t, i]):
                v = min(max(float(x[t, i]), low), high)
                out[t, i] = 0.0 if flat else (v - shift) / scale
    return out


def residual(y: Floats, others: Sequence[Floats], universe: Bools, cap: Floats) -> Floats:
    """Return what is left of `y [T, N]` after regressing it per date on a constant and the others.

    Weighted by the square root of capitalisation over the members that have all values; the coefficients apply to every
    stock that has them, the rest is NaN.
    """
    out = np.full(y.shape, np.nan, dtype=np.float32)
    for t in range(y.shape[0]):
        X = np.column_stack([np.ones(y.shape[1]), *(other[t].astype(np.float64) for other in others)])
        known = np.isfinite(X).all(axis=1) & np.isfinite(y[t])
        used = known & universe[t] & (cap[t] > 0)
        if used.sum() <= len(others) + 1:
            continue
        out[t, known] = y[t, known] - X[known] @ _coefficients(X[used], y[t, used], cap[t, used])
    return out


def _coefficients(X: Doubles, y: Floats, cap: Floats) -> Doubles:
    root = np.sqrt(np.sqrt(cap.astype(np.float64)))
    solution = np.linalg.lstsq(X * root[:, None], y.astype(np.float64) * root, rcond=None)
    return np.asarray(solution[0])


def capitalisation(panel: Panel) -> Floats:
    """Return `exp(log_cap)` `[T, N]`, in currency."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(np.ascontiguousarray(panel["log_cap"])))


def plain_mean(x: Floats, universe: Bools) -> Floats:
    """Return the equal-weighted mean `[T]` over the members that have a value; NaN on dates without one."""
    used = universe & np.isfinite(x)
    count = used.sum(axis=1)
    total = np.where(used, x, 0.0).sum(axis=1, dtype=np.float64)
    mean: Doubles = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean.astype(np.float32)


def combine(parts: Sequence[tuple[float, Floats]]) -> Floats:
    """Return the weighted mean `[T, N]` of standardised descriptors, weights shared among those that a stock has."""
    total = np.zeros(parts[0][1].shape)
    weight = np.zeros(parts[0][1].shape)
    for w, part in parts:
        known = np.isfinite(part)
        total[known] += w * part[known]
        weight[known] += w
    with np.errstate(invalid="ignore"):
        return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan).astype(np.float32)

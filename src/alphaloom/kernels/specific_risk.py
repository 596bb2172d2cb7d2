"""Compiled passes over specific returns: weighted variances, tails, shrinkage to the mean of a size group."""

import numpy as np
from numba import njit

from alphaloom.typing import Array, Bools, Doubles, Ints

LEAST_RATIO = 0.25
"""A Newey-West correction multiplies a variance by no less than this."""
QUARTILES = 1.3489795003921634
"""Distance of the quartiles of a standard normal."""
TRIM = 10.0
"""Robust deviations beyond which a specific return counts as one at that distance."""


@njit(cache=True, error_model="numpy", nogil=True)
def volatilities(specific: Array, keep: float, correlation_keep: float, lags: int, sigma: Array, count: Ints) -> None:
    """Write the volatility foreseen of each stock `sigma [T, N]` and its number of returns so far `count [T, N]`.

    sigma^2 = (EWMA of squares) x (Newey-West ratio), the ratio `1 + 2 sum_l (1 - l / (L + 1)) g_l / g_0` with weights
    of its own. Missing returns leave sums to decay. NaN before a stock's first return.
    """
    T, N = specific.shape
    for i in range(N):
        square = weight = 0.0
        g = np.zeros(lags + 1)
        h = np.zeros(lags + 1)
        seen = 0
        for t in range(T):
            square *= keep
            weight *= keep
            for lag in range(lags + 1):
                g[lag] *= correlation_keep
                h[lag] *= correlation_keep
            u = np.float64(specific[t, i])
            if np.isfinite(u):
                seen += 1
                square += u * u
                weight += 1.0
                for lag in range(min(lags, t) + 1):
                    before = np.float64(specific[t - lag, i])
                    if np.isfinite(before):
                        g[lag] += u * before
                        h[lag] += 1.0
            count[t, i] = seen
            if seen == 0:
                sigma[t, i] = np.nan
                continue
            ratio = 1.0
            base = g[0] / h[0]
            if base > 0.0:
                for lag in range(1, lags + 1):
                    if h[lag] > 0.0:
                        ratio += 2.0 * (1.0 - lag / (lags + 1.0)) * g[lag] / h[lag] / base
            sigma[t, i] = np.sqrt(square / weight * max(ratio, LEAST_RATIO))


@njit(cache=True, error_model="numpy", nogil=True)
def own_history(specific: Array, window: int, few: int, enough: int, every: int, gamma: Array) -> None:
    """Write how far each stock's own history is to be believed `gamma [T, N]`, from 0 to 1, renewed `every` rows.

    gamma = clip((h - few) / (enough - few), 0, 1) x clip(exp(1 - Z), 0, 1), over the `window` rows up to t: h known
    returns, Z = |s / r - 1|, r their quartile distance as a deviation, s their deviation about 0 with returns bounded
    at 10 r.
    """
    T, N = specific.shape
    values = np.empty(window)
    for t in range(T):
        if t % every != 0:
            gamma[t] = gamma[t - 1]
            continue
        first = max(0, t - window + 1)
        for i in range(N):
            h = 0
            for s in range(first, t + 1):
                if np.isfinite(specific[s, i]):
                    values[h] = specific[s, i]
                    h += 1
            length = min(max((h - few) / (enough - few), 0.0), 1.0)
            if length == 0.0:
                gamma[t, i] = 0.0
                continue
            known = np.sort(values[:h])
            robust = (_quantile(known, 0.75) - _quantile(known, 0.25)) / QUARTILES
            if robust <= 0.0:
                gamma[t, i] = 0.0
                continue
            total = 0.0
            for k in range(h):
                bounded = min(max(known[k], -TRIM * robust), TRIM * robust)
                total += bounded * bounded
            tails = abs(np.sqrt(total / h) / robust - 1.0)
            gamma[t, i] = length * min(np.exp(1.0 - tails), 1.0)


@njit(cache=True, error_model="numpy", nogil=True)
def _quantile(ordered: Doubles, q: float) -> float:
    place = q * (ordered.size - 1)
    low = int(place)
    high = min(low + 1, ordered.size - 1)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


@njit(cache=True, error_model="numpy", nogil=True)
def shrink(sigma: Array, cap: Array, members: Bools, groups: int, q: float, out: Array) -> None:
    """Write volatilities drawn to the cap-weighted mean of their size group: `out [T, N]`.

    `v m + (1 - v) sigma`, v = q |sigma - m| / (D + q |sigma - m|), m the mean of the group and D its deviation about m,
    both of the members with a volatility. Groups hold equal numbers of members by capitalisation; others belong to the
    group within whose bounds they fall. Stocks without capitalisation keep theirs.
    """
    T, N = sigma.shape
    for t in range(T):
        ranked = np.empty(N)
        n = 0
        for i in range(N):
            out[t, i] = sigma[t, i]
            if members[t, i] and np.isfinite(sigma[t, i]) and cap[t, i] > 0.0:
                ranked[n] = cap[t, i]
                n += 1
        if n < groups:
            continue
        ordered = np.sort(ranked[:n])
        bounds = np.empty(groups - 1)
        for g in range(1, groups):
            bounds[g - 1] = ordered[(g * n) // groups]
        total = np.zeros(groups)
        mean = np.zeros(groups)
        spread = np.zeros(groups)
        number = np.zeros(groups)
        group = np.zeros(N, np.int64)
        for i in range(N):
            group[i] = np.searchsorted(bounds, cap[t, i], side="right") if cap[t, i] > 0.0 else -1
            if members[t, i] and np.isfinite(sigma[t, i]) and cap[t, i] > 0.0:
                total[group[i]] += cap[t, i]
                mean[group[i]] += cap[t, i] * sigma[t, i]
        for g in range(groups):
            mean[g] /= total[g]
        for i in range(N):
            if members[t, i] and np.isfinite(sigma[t, i]) and cap[t, i] > 0.0:
                spread[group[i]] += (sigma[t, i] - mean[group[i]]) ** 2
                number[group[i]] += 1.0
        for i in range(N):
            if group[i] >= 0 and np.isfinite(sigma[t, i]):
                m = mean[group[i]]
                distance = q * abs(sigma[t, i] - m)
                bottom = np.sqrt(spread[group[i]] / number[group[i]]) + distance
                v = distance / bottom if bottom > 0.0 else 0.0
                out[t, i] = v * m + (1.0 - v) * sigma[t, i]

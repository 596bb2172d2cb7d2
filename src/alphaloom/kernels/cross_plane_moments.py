"""Sums, means and deviations of planes, and values relative to them; also the residuals of a regression per date.

Every date is laid out in **slots**: slot 0 takes the stocks without a group, whose results are missing, and slot g + 1
the stocks of group g; without groups all stocks are in slot 1. Sums by slot run in `LANES` interleaved partial sums, so
that an addition need not wait for the one before.
"""

from typing import Any

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Array

LANES = 8
DEMEAN, ZSCORE, SCALE, MEAN, STD, SUM = range(6)
"""What `moments_plane` writes."""
_DEPENDENT = 1e-10
"""A regressor is left out when the earlier ones leave less than this share of its variance within the groups."""


@compiled
def slots_of(codes: Array, t: int, slot: Array) -> None:
    """Write the slots `[N]` (uint32) of date t; `codes [T, N]` has no rows where there are no groups."""
    if codes.shape[0] == 0:
        slot[:] = 1
        return
    today = codes[t]
    for i in range(slot.size):
        slot[i] = np.uint32(today[i] + 1) if today[i] >= 0 else np.uint32(0)


@compiled
def slot_sums(x: Array, slot: Array, lanes: Array, out: Array) -> None:
    """Write the sum of `x [N]` over each slot to `out [S]`; `lanes` is `[LANES, S]`."""
    lanes[:] = 0.0
    for i in range(x.size):
        lanes[i & (LANES - 1), slot[i]] += x[i]
    for s in range(out.size):
        total = 0.0
        for j in range(LANES):
            total += lanes[j, s]
        out[s] = total


@compiled
def _weights(x: Array, universe: Array, weight: Array, t: int, out: Array) -> None:
    """Write the weight of every stock in the statistics of date t: 0 unless a member with a finite value."""
    inf = np.float32(np.inf)
    if weight.shape[0] == 0:
        for i in range(x.size):
            out[i] = 1.0 if universe[i] & (abs(x[i]) < inf) else 0.0
        return
    today = weight[t]
    for i in range(x.size):
        w = np.float64(today[i]) if today[i] < inf and today[i] > 0.0 else 0.0
        out[i] = w if universe[i] & (abs(x[i]) < inf) else 0.0


@compiled
def _weighted(x: Array, weight: Array, out: Array) -> None:
    for i in range(x.size):
        out[i] = np.float64(x[i]) * weight[i] if weight[i] > 0.0 else 0.0


@compiled
def _weighted_size(x: Array, weight: Array, out: Array) -> None:
    for i in range(x.size):
        out[i] = abs(np.float64(x[i])) * weight[i] if weight[i] > 0.0 else 0.0


@compiled
def _weighted_square(x: Array, weight: Array, slot: Array, centre: Array, out: Array) -> None:
    for i in range(x.size):
        d = np.float64(x[i]) - centre[slot[i]]
        out[i] = d * d * weight[i] if weight[i] > 0.0 else 0.0


@compiled
def _relative(x: Array, slot: Array, centre: Array, factor: Array, out: Array) -> None:
    """Write (x - centre) * factor of the stock's slot; 0 at the centre of no spread, NaN for what is not finite."""
    for i in range(x.size):
        s = slot[i]
        d = np.float64(x[i]) - centre[s]
        r = 0.0 if (d == 0.0) & (factor[s] == np.inf) else d * factor[s]
        out[i] = r if abs(r) < np.inf else np.nan


@compiled
def _relative_to_one(x: Array, centre: float, factor: float, out: Array) -> None:
    """Write the same where all stocks are in one slot."""
    for i in range(x.size):
        d = np.float64(x[i]) - centre
        r = 0.0 if (d == 0.0) & (factor == np.inf) else d * factor
        out[i] = r if abs(r) < np.inf else np.nan


@compiled
def spread_over(slot: Array, value: Array, out: Array) -> None:
    """Write the value of its slot for every stock."""
    for i in range(slot.size):
        out[i] = value[slot[i]]


@compiled
def moments_plane(
    operator: int, x: Array, universe: Array, codes: Array, n_groups: int, weight: Array, a: float, out: Array
) -> None:
    """Write one of the operators above for every date of `x [T, N]`; `a` is the sum that SCALE brings about."""
    T, N = x.shape
    S = max(n_groups, 1) + 1
    slot, part, w = np.empty(N, np.uint32), np.empty(N), np.empty(N)
    lanes, n, centre, factor = np.empty((LANES, S)), np.empty(S), np.empty(S), np.empty(S)
    for t in range(T):
        slots_of(codes, t, slot)
        _weights(x[t], universe[t], weight, t, w)
        slot_sums(w, slot, lanes, n)
        n[0] = 0.0
        if operator == SCALE:
            _weighted_size(x[t], w, part)
        else:
            _weighted(x[t], w, part)
        slot_sums(part, slot, lanes, centre)
        if operator == SCALE:
            for s in range(S):
                factor[s] = a / centre[s] if (n[s] > 0.0) & (centre[s] > 0.0) else np.nan
            centre[:] = 0.0
        elif operator == SUM:
            for s in range(S):
                centre[s] = centre[s] if n[s] > 0.0 else np.nan
        else:
            for s in range(S):
                centre[s] = centre[s] / n[s] if n[s] > 0.0 else np.nan
            factor[:] = 1.0
        if operator in {ZSCORE, STD}:
            _weighted_square(x[t], w, slot, centre, part)
            slot_sums(part, slot, lanes, factor)
            for s in range(S):
                deviation = np.sqrt(factor[s] / (n[s] - 1.0)) if n[s] > 1.0 else np.nan
                factor[s] = deviation if operator == STD else 1.0 / deviation
        if operator == STD:
            spread_over(slot, factor, out[t])
        elif operator in {MEAN, SUM}:
            spread_over(slot, centre, out[t])
        elif n_groups == 0:
            _relative_to_one(x[t], centre[1], factor[1], out[t])
        else:
            _relative(x[t], slot, centre, factor, out[t])


@compiled
def _product_sum(a: Array, b: Array, w: Array, lanes: Array) -> Any:
    lanes[:] = 0.0
    whole = a.size - a.size % LANES
    for i in range(0, whole, LANES):
        for j in range(LANES):
            lanes[j] += a[i + j] * b[i + j] if w[i + j] > 0.0 else 0.0
    total = 0.0
    for i in range(whole, a.size):
        total += a[i] * b[i] if w[i] > 0.0 else 0.0
    for j in range(LANES):
        total += lanes[j]
    return total


@compiled
def _within(x: Array, slot: Array, w: Array, n: Array, lanes: Array, mean: Array, part: Array, out: Array) -> None:
    """Write x less the mean of its slot's members, NaN where that is not finite."""
    _weighted(x, w, part)
    slot_sums(part, slot, lanes, mean)
    for s in range(mean.size):
        mean[s] = mean[s] / n[s] if s > 0 else np.nan
    for i in range(x.size):
        d = np.float64(x[i]) - mean[slot[i]]
        out[i] = d if abs(d) < np.inf else np.nan


@compiled
def _slopes(xx: Array, xy: Array, root: Array, beta: Array) -> None:
    """Write the least-squares slopes by Cholesky; a dependent regressor gets slope 0."""
    K = xy.size
    for k in range(K):
        for j in range(k):
            s = xx[k, j]
            for m in range(j):
                s -= root[k, m] * root[j, m]
            root[k, j] = s / root[j, j] if root[j, j] > 0.0 else 0.0
        s = xx[k, k]
        for m in range(k):
            s -= root[k, m] * root[k, m]
        root[k, k] = np.sqrt(s) if s > _DEPENDENT * xx[k, k] else 0.0
    for k in range(K):
        s = xy[k]
        for m in range(k):
            s -= root[k, m] * beta[m]
        beta[k] = s / root[k, k] if root[k, k] > 0.0 else 0.0
    for k in range(K - 1, -1, -1):
        s = beta[k]
        for m in range(k + 1, K):
            s -= root[m, k] * beta[m]
        beta[k] = s / root[k, k] if root[k, k] > 0.0 else 0.0


@compiled
def neutralise_plane(x: Array, universe: Array, codes: Array, n_groups: int, regressors: Array, out: Array) -> None:
    """Write the residual of each date's regression on the group's dummies and `regressors [K, T, N]`."""
    T, N = x.shape
    K = regressors.shape[0]
    S = max(n_groups, 1) + 1
    inf = np.float32(np.inf)
    slot, part, w = np.empty(N, np.uint32), np.empty(N), np.empty(N)
    lanes, line, n, mean = np.empty((LANES, S)), np.empty(LANES), np.empty(S), np.empty(S)
    y, around = np.empty(N), np.empty((K, N))
    xx, xy, root, beta = np.zeros((K, K)), np.empty(K), np.zeros((K, K)), np.empty(K)
    for t in range(T):
        slots_of(codes, t, slot)
        for i in range(N):
            w[i] = 1.0 if universe[t, i] & (abs(x[t, i]) < inf) & (slot[i] > 0) else 0.0
        for k in range(K):
            for i in range(N):
                w[i] = w[i] if abs(regressors[k, t, i]) < inf else 0.0
        slot_sums(w, slot, lanes, n)
        _within(x[t], slot, w, n, lanes, mean, part, y)
        for k in range(K):
            _within(regressors[k, t], slot, w, n, lanes, mean, part, around[k])
            xy[k] = _product_sum(around[k], y, w, line)
            for j in range(k + 1):
                xx[k, j] = _product_sum(around[k], around[j], w, line)
        _slopes(xx, xy, root, beta)
        for k in range(K):
            b = beta[k]
            for i in range(N):
                y[i] -= b * around[k, i]
        for i in range(N):
            out[t, i] = y[i]

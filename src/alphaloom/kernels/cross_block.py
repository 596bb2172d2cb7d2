"""Compiled per-date passes over a block `[T, N, F]`: standardise, clip, fill, neutralise. Rows run over F.

Every pass works in place, reads the members of the universe for its statistics, and takes one thread; callers that
want more cut the block by dates. NaN is missing and never enters a statistic; nor does an infinity.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from alphaloom.kernels.cross_order import moments, plain
from alphaloom.typing import Array, Bools, Floats

_DEPENDENT = 1e-10
"""A regressor whose variance left after the groups and the earlier regressors is below this share of its own is
dropped: it adds nothing that the others do not explain."""


@njit(cache=True, error_model="numpy", nogil=True)
def _standardise(block: Array, centre: Array, spread: Array, limit: float) -> None:
    T, N, F = block.shape
    factor = np.empty(F)
    for t in range(T):
        c = centre[t]
        held = limit < np.inf
        for f in range(F):
            factor[f] = 1.0 / spread[t, f]
            held |= factor[f] == np.inf
        for i in range(N):
            row = block[t, i]
            if not held:
                for f in range(F):
                    x = (np.float64(row[f]) - c[f]) * factor[f]
                    row[f] = x if abs(x) < np.inf else np.nan
                continue
            for f in range(F):
                x = np.float64(row[f]) - c[f]
                # 0 / 0 is the centre itself; anything else over a spread of 0 is beyond every limit.
                x = np.float64(0.0) if (x == 0.0) & (factor[f] == np.inf) else x * factor[f]
                x = limit if x > limit else x
                x = -limit if x < -limit else x
                row[f] = x if abs(x) < np.inf else np.nan


def standardise(block: Floats, centre: ArrayLike, spread: ArrayLike, limit: float | None = None) -> None:
    """Replace x by (x - centre) / spread, bounded by +-limit; `centre` and `spread` are `[T, F]` or `[F]`.

    Where the spread is 0, x at the centre becomes 0 and any other x the bound it tends to, or NaN without a limit.
    NaN in x, centre or spread gives NaN.
    """
    shape = (block.shape[0], block.shape[2])
    c = np.broadcast_to(np.asarray(centre, dtype=np.float64), shape)
    s = np.broadcast_to(np.asarray(spread, dtype=np.float64), shape)
    _standardise(block, np.ascontiguousarray(c), np.ascontiguousarray(s), np.inf if limit is None else float(limit))


@njit(cache=True, error_model="numpy", nogil=True)
def _clip(block: Array, low: Array, high: Array) -> None:
    T, N, F = block.shape
    for t in range(T):
        a, b = low[t], high[t]
        for i in range(N):
            row = block[t, i]
            for f in range(F):
                x = row[f]
                x = a[f] if x < a[f] else x
                row[f] = b[f] if x > b[f] else x


def clip(block: Floats, low: ArrayLike, high: ArrayLike) -> None:
    """Bound every value by `low` and `high`, `[T, F]` or `[F]`; a NaN bound bounds nothing, NaN values stay."""
    shape = (block.shape[0], block.shape[2])
    bounds = [np.ascontiguousarray(np.broadcast_to(np.asarray(x, dtype=np.float32), shape)) for x in (low, high)]
    _clip(block, bounds[0], bounds[1])


@njit(cache=True, error_model="numpy", nogil=True)
def _fill(block: Array, universe: Array, value: Array) -> None:
    T, N, F = block.shape
    for t in range(T):
        for i in range(N):
            if universe[t, i]:
                row = block[t, i]
                for f in range(F):
                    row[f] = value[t, f] if np.isnan(row[f]) else row[f]


def fill(block: Floats, universe: Bools, value: ArrayLike) -> None:
    """Replace the members' NaN by `value`, `[T, F]` or `[F]`; a NaN there leaves them missing."""
    shape = (block.shape[0], block.shape[2])
    _fill(block, plain(universe), np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype=np.float32), shape)))


@njit(cache=True, error_model="numpy", nogil=True)
def _fill_groups(block: Array, universe: Array, group: Array, n_groups: int) -> None:
    T, N, F = block.shape
    inf = np.float32(np.inf)
    none, one = np.float32(0.0), np.float32(1.0)
    total, count = np.empty((n_groups, F)), np.empty((n_groups, F), np.float32)  # counts are whole: exact
    for t in range(T):
        total[:] = 0.0
        count[:] = none
        for i in range(N):
            g = group[t, i]
            if universe[t, i] and g >= 0:
                for f in range(F):
                    x = block[t, i, f]
                    known = abs(x) < inf
                    total[g, f] += np.float64(x) if known else 0.0
                    count[g, f] += one if known else none
        for g in range(n_groups):
            for f in range(F):
                total[g, f] /= count[g, f]
        for i in range(N):
            g = group[t, i]
            if universe[t, i] and g >= 0:
                row = block[t, i]
                for f in range(F):
                    row[f] = total[g, f] if np.isnan(row[f]) else row[f]


def fill_groups(block: Floats, universe: Bools, group: Array, n_groups: int) -> None:
    """Replace the members' NaN by the mean of the members of the same group that day.

    `group [T, N]` holds codes from 0 to `n_groups - 1`, negative where unknown. A member of no group, or whose group
    has no value that day, stays missing.
    """
    _fill_groups(block, plain(universe), plain(group), n_groups)


@njit(cache=True, error_model="numpy", nogil=True)
def _group_means(
    day: Array, members: Array, group: Array, regressors: Array, y_mean: Array, x_mean: Array, count: Array
) -> None:
    """Means over each group and column of y and of the regressors, over the members whose y is known."""
    F = day.shape[1]
    inf = np.float32(np.inf)
    y_mean[:] = 0.0
    x_mean[:] = 0.0
    count[:] = 0.0
    for i in members:
        g = group[i]
        row = day[i]
        for f in range(F):
            known = abs(row[f]) < inf
            y_mean[g, f] += np.float64(row[f]) if known else 0.0
            count[g, f] += 1.0 if known else 0.0
        for k in range(regressors.shape[0]):
            c = np.float64(regressors[k, i])
            for f in range(F):
                x_mean[k, g, f] += c if abs(row[f]) < inf else 0.0
    for g in range(count.shape[0]):
        for f in range(F):
            y_mean[g, f] /= count[g, f]
        for k in range(regressors.shape[0]):
            for f in range(F):
                x_mean[k, g, f] /= count[g, f]


@njit(cache=True, error_model="numpy", nogil=True)
def _products(
    day: Array, members: Array, group: Array, regressors: Array, y_mean: Array, x_mean: Array, xx: Array, xy: Array
) -> None:
    """Sums of products of the demeaned regressors with each other, `xx [K, K, F]`, and with y, `xy [K, F]`."""
    F, K = day.shape[1], regressors.shape[0]
    inf = np.float32(np.inf)
    xx[:] = 0.0
    xy[:] = 0.0
    for i in members:
        g = group[i]
        row = day[i]
        for k in range(K):
            c = np.float64(regressors[k, i])
            for f in range(F):
                xy[k, f] += (c - x_mean[k, g, f]) * (np.float64(row[f]) - y_mean[g, f]) if abs(row[f]) < inf else 0.0
            for j in range(k + 1):
                b = np.float64(regressors[j, i])
                for f in range(F):
                    xx[k, j, f] += (c - x_mean[k, g, f]) * (b - x_mean[j, g, f]) if abs(row[f]) < inf else 0.0


@njit(cache=True, error_model="numpy", nogil=True)
def _complete_sums(
    day: Array, members: Array, group: Array, regressors: Array, y_mean: Array, x_mean: Array, xx: Array, xy: Array
) -> bool:
    """Write what `_group_means` and `_products` do where no member misses a value: regressors are then summed once.

    Return False where one does, or has an infinity; what is written is then of no use.
    """
    F, K, G = day.shape[1], regressors.shape[0], y_mean.shape[0]
    size, mean, square = np.zeros(G), np.zeros((K, G)), np.zeros((K, K))
    y_mean[:] = 0.0
    xy[:] = 0.0
    for i in members:
        size[group[i]] += 1.0
        for k in range(K):
            mean[k, group[i]] += np.float64(regressors[k, i])
    for k in range(K):
        for g in range(G):
            mean[k, g] /= size[g]
            x_mean[k, g] = mean[k, g]
    for i in members:
        g = group[i]
        row = day[i]
        for f in range(F):
            y_mean[g, f] += np.float64(row[f])
        for k in range(K):
            c = np.float64(regressors[k, i]) - mean[k, g]
            for f in range(F):
                xy[k, f] += c * np.float64(row[f])
            for j in range(k + 1):
                square[k, j] += c * (np.float64(regressors[j, i]) - mean[j, g])
    for g in range(G):
        if size[g] > 0.0:
            for f in range(F):
                if not abs(y_mean[g, f]) < np.inf:
                    return False
        for f in range(F):
            y_mean[g, f] /= size[g]
    for k in range(K):
        for j in range(k + 1):
            xx[k, j] = square[k, j]
    return True


@njit(cache=True, error_model="numpy", nogil=True)
def _slopes(xx: Array, xy: Array, beta: Array) -> None:
    """Least-squares slopes of each column by Cholesky; a dependent regressor gets slope 0."""
    K, F = xy.shape
    root = np.empty((K, K))
    for f in range(F):
        for k in range(K):
            for j in range(k):
                s = xx[k, j, f]
                for m in range(j):
                    s -= root[k, m] * root[j, m]
                root[k, j] = s / root[j, j] if root[j, j] > 0.0 else 0.0
            s = xx[k, k, f]
            for m in range(k):
                s -= root[k, m] * root[k, m]
            root[k, k] = np.sqrt(s) if s > _DEPENDENT * xx[k, k, f] else 0.0
        for k in range(K):
            s = xy[k, f]
            for m in range(k):
                s -= root[k, m] * beta[m, f]
            beta[k, f] = s / root[k, k] if root[k, k] > 0.0 else 0.0
        for k in range(K - 1, -1, -1):
            s = beta[k, f]
            for m in range(k + 1, K):
                s -= root[m, k] * beta[m, f]
            beta[k, f] = s / root[k, k] if root[k, k] > 0.0 else 0.0


@njit(cache=True, error_model="numpy", nogil=True)
def _to_intercepts(y_mean: Array, x_mean: Array, beta: Array) -> None:
    """Turn the group means of y into what the fit of each group and column is where all regressors are 0."""
    K, G, F = x_mean.shape
    for g in range(G):
        for k in range(K):
            for f in range(F):
                y_mean[g, f] -= beta[k, f] * x_mean[k, g, f]


@njit(cache=True, error_model="numpy", nogil=True)
def _neutralise(block: Array, universe: Array, group: Array, n_groups: int, regressors: Array) -> None:
    T, N, F = block.shape
    K = regressors.shape[0]
    nan = np.float32(np.nan)
    y_mean, count = np.empty((n_groups, F)), np.empty((n_groups, F))
    x_mean = np.empty((K, n_groups, F))
    xx, xy, beta = np.empty((K, K, F)), np.empty((K, F)), np.empty((K, F))
    known, members = np.empty(N, np.bool_), np.empty(N, np.int64)
    fitted = np.empty(F)
    for t in range(T):
        m = 0
        for i in range(N):
            known[i] = group[t, i] >= 0
            for k in range(K):
                known[i] &= abs(regressors[k, t, i]) < np.inf
            if known[i] and universe[t, i]:
                members[m] = i
                m += 1
        today = regressors[:, t]
        if not _complete_sums(block[t], members[:m], group[t], today, y_mean, x_mean, xx, xy):
            _group_means(block[t], members[:m], group[t], today, y_mean, x_mean, count)
            _products(block[t], members[:m], group[t], today, y_mean, x_mean, xx, xy)
        _slopes(xx, xy, beta)
        _to_intercepts(y_mean, x_mean, beta)
        for i in range(N):
            row = block[t, i]
            if not known[i]:
                row[:] = nan
                continue
            g = group[t, i]
            if K == 1:
                c = np.float64(regressors[0, t, i])
                for f in range(F):
                    row[f] = np.float64(row[f]) - y_mean[g, f] - c * beta[0, f]
                continue
            for f in range(F):
                fitted[f] = y_mean[g, f]
            for k in range(K):
                c = np.float64(regressors[k, t, i])
                for f in range(F):
                    fitted[f] += c * beta[k, f]
            for f in range(F):
                row[f] = np.float64(row[f]) - fitted[f]


def neutralise(block: Floats, universe: Bools, group: Array, n_groups: int, regressors: Floats) -> None:
    """Replace each column by its residual on group dummies and `regressors [K, T, N]`, date by date.

    The regression is fitted on the members with a value, a group and all regressors (by the Frisch-Waugh-Lovell
    theorem: demean in each group, then regress on the K demeaned regressors) and taken off every stock that has them.
    A stock without a group or a regressor, or whose group has no member with a value that day, becomes NaN. A
    regressor that the groups and the regressors before it explain is left out.
    """
    _neutralise(block, plain(universe), plain(group), n_groups, plain(regressors))


def zscore(block: Floats, universe: Bools, ddof: int = 1, limit: float | None = None) -> None:
    """Replace x by (x - mean) / deviation of the members of the date."""
    centre, spread = moments(block, universe, ddof)
    standardise(block, centre, spread, limit)


def group_codes(field: Floats) -> tuple[Array, int]:
    """Return int32 codes `[T, N]`, -1 where the field is NaN, and the number of groups.

    >>> codes, n = group_codes(np.array([[0.0, np.nan, 2.0]], dtype=np.float32))
    >>> codes.tolist(), n
    ([[0, -1, 2]], 3)
    """
    codes: Array = np.where(np.isnan(field), np.float32(-1), field).astype(np.int32)
    return codes, int(codes.max(initial=-1)) + 1

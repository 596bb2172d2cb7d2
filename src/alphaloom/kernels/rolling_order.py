"""Rolling extremes with their positions, ranks and quantiles over 5, 10, 20, 30 and 60 rows at once.

Series are padded as in `alphaloom.kernels.rolling`. All results depend on the rows of their own window alone.
"""

import numpy as np

from alphaloom.kernels.rolling import PAD, WINDOWS, compiled
from alphaloom.typing import Doubles, Floats, Ints

LANES = 64
"""Series whose quantiles are found side by side, one a SIMD lane."""


@compiled
def _later_position(older: Floats, newer: Floats, at_older: Floats, at_newer: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = at_older[t] if older[t] >= newer[t] else at_newer[t]


@compiled
def _larger(older: Floats, newer: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = older[t] if older[t] >= newer[t] else newer[t]


@compiled
def _join(v: Floats, i: Floats, w: Floats, wi: Floats, rows: int, first: int, V: Floats, I: Floats) -> None:  # noqa: E741
    """Write the maximum of window (v, i) at t and window (w, wi) at t - rows; the older one wins a tie."""
    L = V.size
    _later_position(w[first - rows : L - rows], v[first:], wi[first - rows : L - rows], i[first:], I[first:])
    _larger(w[first - rows : L - rows], v[first:], V[first:])


@compiled
def window_maxima(x: Floats, row: Floats, V: Floats, at: Floats) -> None:
    """Write the maximum of each window to `V [5, L]` and the row where it first stands to `at [5, L]`.

    `x [L]` holds -inf where missing and in front; `row [L]` numbers the rows. -inf where a window holds no value.
    """
    two = np.empty((2, x.size), np.float32)
    four = np.empty((2, x.size), np.float32)
    _join(x, row, x, row, 1, 1, two[0], two[1])
    _join(two[0], two[1], two[0], two[1], 2, 3, four[0], four[1])
    _join(x, row, four[0], four[1], 1, 4, V[0], at[0])
    _join(V[0], at[0], V[0], at[0], 5, 9, V[1], at[1])
    _join(V[1], at[1], V[1], at[1], 10, 19, V[2], at[2])
    _join(V[2], at[2], V[1], at[1], 20, 29, V[3], at[3])
    _join(V[3], at[3], V[3], at[3], 30, 59, V[4], at[4])


@compiled
def _place(at: Floats, d: int, out: Floats) -> None:
    for t in range(out.size):
        first = max(np.float32(t - d + 1), np.float32(0.0))
        out[t] = at[t] - first + np.float32(1.0)


@compiled
def first_extreme_places(x: Floats, V: Floats, at: Floats, out: Floats) -> None:
    """Write the 1-based place, within each window, of its first missing value, else of its first maximum.

    `x [T]` is the unpadded series with NaN where missing; `V`, `at` come from `window_maxima`; `out` is `[5, T]`.
    Windows at the start are cut short and counted from their first row. NaN where a window holds no value at all. A
    missing value counts as the extreme since that is what an arg-max over an array with NaN returns.
    """
    T = x.size
    gaps = 0
    for t in range(T):
        gaps += x[t] != x[t]
    for w in range(5):
        _place(at[w, PAD:], WINDOWS[w], out[w])
    if gaps == 0:
        return
    gap = np.empty(T, np.int64)
    following = T
    for t in range(T - 1, -1, -1):
        if x[t] != x[t]:
            following = t
        gap[t] = following
    for w in range(5):
        o = out[w]
        v = V[w, PAD:]
        for t in range(T):
            first = max(t - WINDOWS[w] + 1, 0)
            if gap[first] <= t:
                o[t] = np.float32(gap[first] - first + 1) if v[t] != -np.inf else np.float32(np.nan)


@compiled
def _count_below(now: Floats, before: Floats, total: Floats) -> None:
    for t in range(total.size):
        less = np.float32(1.0) if before[t] < now[t] else np.float32(0.0)
        tied = np.float32(0.5) if before[t] == now[t] else np.float32(0.0)
        total[t] += less + tied


@compiled
def _shares(total: Floats, n1: Doubles, x: Floats, out: Floats) -> None:
    for t in range(out.size):
        share = np.float32(np.float64(total[t]) * n1[t])
        out[t] = share if x[t] == x[t] else np.float32(np.nan)


@compiled
def window_ranks(x: Floats, n1: Doubles, out: Floats) -> None:
    """Write the rank of `x[t]` among the present values of each window as a share of their number, to `out [5, T]`.

    Tied values share their average rank; NaN where x[t] is missing. `n1 [5, L]` is 1 / number of values.
    """
    T = x.size
    L = T + PAD
    held = np.empty(L, np.float32)
    held[:PAD] = np.inf
    now = held[PAD:]
    for t in range(T):
        now[t] = x[t] if x[t] == x[t] else np.float32(np.inf)
    total = np.empty(T, np.float32)
    total[:] = 1.0
    lag = 1
    for w in range(5):
        for k in range(lag, WINDOWS[w]):
            _count_below(now, held[PAD - k : L - k], total)
        lag = WINDOWS[w]
        _shares(total, n1[w, PAD:], x, out[w])


@compiled
def _delete(s: Floats, old: Floats, kept: Floats, d: int) -> None:
    """Delete `old` from each lane's sorted window, without a branch: kept[k+1] is what remains at place k."""
    for k in range(d):
        for b in range(old.size):
            kept[k + 1, b] = s[k + 1, b] if s[k, b] >= old[b] else s[k, b]


@compiled
def _insert(s: Floats, new: Floats, kept: Floats, d: int) -> None:
    """Insert `new`: the place k then holds min(kept[k], max(kept[k-1], new))."""
    for k in range(d):
        for b in range(new.size):
            larger = kept[k, b] if kept[k, b] > new[b] else new[b]
            s[k, b] = kept[k + 1, b] if kept[k + 1, b] < larger else larger


@compiled
def _interpolate(low: Floats, high: Floats, part: float, out: Doubles) -> None:
    for b in range(out.size):
        out[b] = np.float64(low[b]) + part * (np.float64(high[b]) - np.float64(low[b]))


@compiled
def _update_counts(here: Ints, gone: Ints, n: Ints) -> int:
    total = 0
    for b in range(n.size):
        n[b] += here[b] - gone[b]
    for b in range(n.size):
        total += n[b]
    return total


@compiled
def _quantile_of_short(s: Floats, b: int, n: int, q: float) -> float:
    if n == 0:
        return np.nan
    place = q * (n - 1)
    i = int(place)
    low = np.float64(s[i, b])
    return low + (place - i) * (np.float64(s[min(i + 1, n - 1), b]) - low)


@compiled
def window_quantiles(X: Floats, q: Doubles, out: Doubles) -> None:
    """Write quantiles `q [Q]` of every window of up to LANES series `X [B, T]` to `out [Q, B, 5, T]`.

    Linear interpolation between the order statistics of the values present; NaN where there is none. The sorted
    windows of all lanes are kept up to date side by side, one deletion and one insertion a row.
    """
    B, T = X.shape
    inf = np.float32(np.inf)
    held = np.empty((T + PAD, LANES), np.float32)
    present = np.zeros((T + PAD, LANES), np.int64)
    held[:] = inf
    for b in range(B):
        for t in range(T):
            if X[b, t] == X[b, t]:
                held[PAD + t, b] = X[b, t]
                present[PAD + t, b] = 1
    found = np.empty((q.size, T, LANES))
    n = np.empty(LANES, np.int64)
    kept = np.empty((PAD + 1, LANES), np.float32)
    kept[:] = -inf
    s = np.empty((PAD + 1, LANES), np.float32)
    for w in range(5):
        d = WINDOWS[w]
        s[:] = inf
        n[:] = 0
        for t in range(T):
            total = _update_counts(present[PAD + t], present[PAD + t - d], n)
            _delete(s, held[PAD + t - d], kept, d)
            _insert(s, held[PAD + t], kept, d)
            for z in range(q.size):
                place = q[z] * (d - 1)
                i = int(place)
                _interpolate(s[i], s[min(i + 1, d - 1)], place - i, found[z, t])
                if total != d * LANES:
                    for b in range(B):
                        if n[b] != d:
                            found[z, t, b] = _quantile_of_short(s, b, n[b], q[z])
        for z in range(q.size):
            for t0 in range(0, T, 16):
                for b in range(B):
                    for t in range(t0, min(T, t0 + 16)):
                        out[z, b, w, t] = found[z, t, b]

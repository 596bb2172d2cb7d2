"""Rolling sums, moments, regressions and correlations of one series over 5, 10, 20, 30 and 60 rows at once.

Long windows are composed of short ones: S10[t] = S5[t] + S5[t-5], S20 = S10 + S10[-10], S30 = S20 + S10[-20],
S60 = S30 + S30[-30]. Every value is then a fixed tree over the rows of its own window: it carries no state and does
not drift, it is the same bit for bit wherever the data begin or end, and every loop has unit stride along time.

A series is held with `PAD` empty rows in front: value `x [L]` (0 where missing) and mask `m [L]` (1 or 0), with
L = PAD + T. Results `[5, L]` have one row a window, in the order of `WINDOWS`; their first PAD columns are undefined.

Two habits of the compiler shape this file. `x[t - k]` might wrap around below zero, which stops vectorisation, so
shifted slices are passed instead. One output array a loop lets it prove that arrays do not overlap.
"""

import numpy as np
from numba import njit

from alphaloom.typing import Doubles, Floats

compiled = njit(cache=True, error_model="numpy", nogil=True)
"""Decorator: compiled for one thread, kept on disk, free of the interpreter lock, IEEE division."""

WINDOWS = (5, 10, 20, 30, 60)
"""Window lengths in rows, in the order of the results."""
PAD = 60
"""Empty rows in front of a series: as many as the longest window has rows."""
CANCELLED = 1e-8
"""Where a centred sum of squares is less than this share of the raw one, it has lost too many digits."""


@compiled
def _plus(a: Doubles, b: Doubles, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = a[t] + b[t]


@compiled
def _plus_scaled(a: Doubles, b: Doubles, s: Doubles, k: float, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = a[t] + b[t] + k * s[t]


@compiled
def _plus_scaled2(a: Doubles, b: Doubles, u: Doubles, k: float, s: Doubles, k2: float, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = a[t] + b[t] + k * u[t] + k2 * s[t]


@compiled
def _weighted4(
    b: Doubles, c: Doubles, d: Doubles, e: Doubles, k1: float, k2: float, k3: float, k4: float, out: Doubles
) -> None:
    for t in range(out.size):
        out[t] = k1 * b[t] + k2 * c[t] + k3 * d[t] + k4 * e[t]


@compiled
def _sum5(a: Doubles, b: Doubles, c: Doubles, d: Doubles, e: Doubles, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = ((a[t] + b[t]) + (c[t] + d[t])) + e[t]


@compiled
def multiply(a: Doubles, b: Doubles, out: Doubles) -> None:
    """Write a * b."""
    for t in range(out.size):
        out[t] = a[t] * b[t]


@compiled
def window_sums(x: Doubles, S: Doubles) -> None:
    """Write the window sums of `x [L]` to `S [5, L]`; missing rows are zeros and add nothing."""
    L = x.size
    _sum5(x[4:], x[3 : L - 1], x[2 : L - 2], x[1 : L - 3], x[: L - 4], S[0, 4:])
    _plus(S[0, 9:], S[0, 4 : L - 5], S[1, 9:])
    _plus(S[1, 19:], S[1, 9 : L - 10], S[2, 19:])
    _plus(S[2, 29:], S[1, 9 : L - 20], S[3, 29:])
    _plus(S[3, 59:], S[3, 29 : L - 30], S[4, 59:])


@compiled
def lag_sums(x: Doubles, S: Doubles, W: Doubles) -> None:
    """Write sums of k x[t-k] to `W [5, L]`, k being the lag 0, 1, ..., from the plain sums `S` of the same series.

    Two windows a (newer) and b (older by a rows) join as W = W_a + W_b + a S_b.
    """
    L = x.size
    _weighted4(x[3 : L - 1], x[2 : L - 2], x[1 : L - 3], x[: L - 4], 1.0, 2.0, 3.0, 4.0, W[0, 4:])
    _plus_scaled(W[0, 9:], W[0, 4 : L - 5], S[0, 4 : L - 5], 5.0, W[1, 9:])
    _plus_scaled(W[1, 19:], W[1, 9 : L - 10], S[1, 9 : L - 10], 10.0, W[2, 19:])
    _plus_scaled(W[2, 29:], W[1, 9 : L - 20], S[1, 9 : L - 20], 20.0, W[3, 29:])
    _plus_scaled(W[3, 59:], W[3, 29 : L - 30], S[3, 29 : L - 30], 30.0, W[4, 59:])


@compiled
def square_lag_sums(m: Doubles, S: Doubles, W: Doubles, Q: Doubles) -> None:
    """Write sums of k^2 m[t-k] to `Q [5, L]`, from the plain and lag-weighted sums `S` and `W` of the same series."""
    L = m.size
    _weighted4(m[3 : L - 1], m[2 : L - 2], m[1 : L - 3], m[: L - 4], 1.0, 4.0, 9.0, 16.0, Q[0, 4:])
    _plus_scaled2(Q[0, 9:], Q[0, 4 : L - 5], W[0, 4 : L - 5], 10.0, S[0, 4 : L - 5], 25.0, Q[1, 9:])
    _plus_scaled2(Q[1, 19:], Q[1, 9 : L - 10], W[1, 9 : L - 10], 20.0, S[1, 9 : L - 10], 100.0, Q[2, 19:])
    _plus_scaled2(Q[2, 29:], Q[1, 9 : L - 20], W[1, 9 : L - 20], 40.0, S[1, 9 : L - 20], 400.0, Q[3, 29:])
    _plus_scaled2(Q[3, 59:], Q[3, 29 : L - 30], W[3, 29 : L - 30], 60.0, S[3, 29 : L - 30], 900.0, Q[4, 59:])


@compiled
def load(values: Floats, x: Doubles, m: Doubles) -> None:
    """Write `values [T]` as a padded series: x is 0 and m is 0 where the value is missing or infinite."""
    x[:PAD] = 0.0
    m[:PAD] = 0.0
    X = x[PAD:]
    M = m[PAD:]
    for t in range(values.size):
        M[t] = 1.0 if np.isfinite(values[t]) else 0.0
    for t in range(values.size):
        X[t] = np.float64(values[t]) if np.isfinite(values[t]) else 0.0


@compiled
def counts(m: Doubles, n: Doubles, n1: Doubles, n0: Doubles) -> None:
    """Write, for a mask, the rows that each window holds, 1/n and 1/(n - 1), all `[5, L]`.

    1/0 is infinite: a sum over no rows times 1/n is NaN, and so is the sum of squares of one row times 1/(n - 1).
    """
    window_sums(m, n)
    for w in range(5):
        a = n[w, PAD:]
        b = n1[w, PAD:]
        c = n0[w, PAD:]
        for t in range(a.size):
            b[t] = 1.0 / a[t]
        for t in range(a.size):
            c[t] = 1.0 / (a[t] - 1.0)


@compiled
def _centre(s2: Doubles, s: Doubles, u: Doubles, n1: Doubles, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = s2[t] - s[t] * u[t] * n1[t]


@compiled
def _count_cancelled(c: Doubles, raw: Doubles) -> int:
    found = 0
    for t in range(c.size):
        found += c[t] <= CANCELLED * raw[t]
    return found


@compiled
def _direct_square(x: Doubles, m: Doubles, first: int, stop: int) -> float:
    n = 0.0
    s = 0.0
    for i in range(first, stop):
        n += m[i]
        s += x[i]
    mean = s / n
    total = 0.0
    for i in range(first, stop):
        total += m[i] * (x[i] - mean) * (x[i] - mean)
    return total


@compiled
def centred_squares(x: Doubles, m: Doubles, S: Doubles, S2: Doubles, n1: Doubles, out: Doubles) -> None:
    """Write the window sums of (x - window mean)^2 to `out [5, L]`; NaN over no rows.

    `S`, `S2` are the window sums of x and x^2, `n1` is 1/n. The difference S2 - S^2/n is exact enough unless the
    window hardly varies; such a window is summed again around its own mean, which makes constant ones exactly 0.
    """
    for w in range(5):
        d = WINDOWS[w]
        raw = S2[w, PAD:]
        c = out[w, PAD:]
        _centre(raw, S[w, PAD:], S[w, PAD:], n1[w, PAD:], c)
        left = _count_cancelled(c, raw)
        for t in range(c.size):
            if left == 0:
                break
            if c[t] <= CANCELLED * raw[t]:
                c[t] = _direct_square(x, m, PAD + t - d + 1, PAD + t + 1)
                left -= 1


@compiled
def _direct_cross(x: Doubles, y: Doubles, m: Doubles, first: int, stop: int) -> float:
    n = 0.0
    sx = 0.0
    sy = 0.0
    for i in range(first, stop):
        n += m[i]
        sx += m[i] * x[i]
        sy += m[i] * y[i]
    total = 0.0
    for i in range(first, stop):
        total += m[i] * (x[i] - sx / n) * (y[i] - sy / n)
    return total


@compiled
def centred_products(
    x: Doubles, y: Doubles, m: Doubles, Sx: Doubles, Sy: Doubles, Sxy: Doubles, n1: Doubles,
    xx: Doubles, raw_xx: Doubles, yy: Doubles, raw_yy: Doubles, out: Doubles,
) -> None:  # fmt: skip
    """Write the window sums of (x - mean x)(y - mean y) to `out [5, L]`, over the rows of the common mask `m`.

    `xx`, `yy` are the centred and `raw_xx`, `raw_yy` the raw sums of squares: where one of them cancelled, the product
    is summed again around the means too.
    """
    for w in range(5):
        d = WINDOWS[w]
        c = out[w, PAD:]
        a = xx[w, PAD:]
        b = yy[w, PAD:]
        ra = raw_xx[w, PAD:]
        rb = raw_yy[w, PAD:]
        _centre(Sxy[w, PAD:], Sx[w, PAD:], Sy[w, PAD:], n1[w, PAD:], c)
        left = _count_cancelled(a, ra) + _count_cancelled(b, rb)
        for t in range(c.size):
            if left <= 0:
                break
            if a[t] <= CANCELLED * ra[t] or b[t] <= CANCELLED * rb[t]:
                c[t] = _direct_cross(x, y, m, PAD + t - d + 1, PAD + t + 1)
                left -= int(a[t] <= CANCELLED * ra[t]) + int(b[t] <= CANCELLED * rb[t])


@compiled
def _direct_lag(x: Doubles, m: Doubles, mean: float, mean_lag: float, first: int, stop: int) -> float:
    total = 0.0
    for i in range(first, stop):
        total += m[i] * (stop - 1 - i - mean_lag) * (x[i] - mean)
    return total


@compiled
def lag_products(
    x: Doubles, m: Doubles, S: Doubles, W: Doubles, Wm: Doubles, n1: Doubles, xx: Doubles, raw: Doubles, out: Doubles
) -> None:
    """Write the window sums of (lag - mean lag)(x - mean x) to `out [5, L]`: the numerator of a slope, sign reversed.

    `W`, `Wm` are the lag-weighted sums of x and of the mask; windows whose squares `xx` cancelled are summed again.
    """
    for w in range(5):
        d = WINDOWS[w]
        c = out[w, PAD:]
        a = xx[w, PAD:]
        r = raw[w, PAD:]
        _centre(W[w, PAD:], Wm[w, PAD:], S[w, PAD:], n1[w, PAD:], c)
        left = _count_cancelled(a, r)
        for t in range(c.size):
            if left == 0:
                break
            if a[t] <= CANCELLED * r[t]:
                i = PAD + t
                c[t] = _direct_lag(x, m, S[w, i] * n1[w, i], Wm[w, i] * n1[w, i], i - d + 1, i + 1)
                left -= 1

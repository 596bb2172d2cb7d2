"""The 158 columns of Alpha158 for one listed span, group by group.

Each group writes its rows of `F [158, T]` from bars `[T]` of one stock. What is elementwise in the definition is done
in float32, what is rolling in float64, and the result is rounded to float32: the published arithmetic.

| symbol | meaning |
|---|---|
| x, m | padded series and its mask |
| n, n1, n0 | rows in each window, 1/n and 1/(n-1) |
| Sx, Sxx, Sxy | window sums of x, x^2, x y |
| Cxx, Cxy, Ckx, Ckk | sums of squares and products around the window means; k is the lag |
| ic, iv | 1/close and 1/(volume + 1e-12) |
"""

import numpy as np

from alphaloom.kernels.rolling import (
    PAD,
    WINDOWS,
    centred_products,
    centred_squares,
    compiled,
    counts,
    lag_products,
    lag_sums,
    load,
    multiply,
    square_lag_sums,
    window_sums,
)
from alphaloom.kernels.rolling_order import first_extreme_places, window_maxima, window_ranks
from alphaloom.typing import Doubles, Floats

FLAT_VARIANCE = 2e-5**2
"""RSQR, CORR and CORD are NaN where a sample standard deviation is at most 2e-5, an absolute amount."""
EPS = 1e-12
(ROC, MA, STD, BETA, RSQR, RESI, MAX, MIN, QTLU, QTLD, RANK, RSV, IMAX, IMIN, IMXD, CORR, CORD, CNTP, CNTN, CNTD, SUMP,
 SUMN, SUMD, VMA, VSTD, WVMA, VSUMP, VSUMN, VSUMD) = range(13, 158, 5)  # fmt: skip
"""First row of each rolling feature; its five windows follow each other."""


@compiled
def _ratio(a: Floats, b: Floats, out: Floats) -> None:
    for t in range(out.size):
        out[t] = a[t] / b[t]


@compiled
def bar_columns(o: Floats, h: Floats, l: Floats, c: Floats, vw: Floats, F: Floats) -> None:  # noqa: E741
    """KMID to KSFT2 and OPEN0 to VWAP0: shapes of the day's own bar, all in float32."""
    T = c.size
    eps = np.float32(EPS)
    nan = np.float32(np.nan)
    above = np.empty(T, np.float32)
    below = np.empty(T, np.float32)
    extent = np.empty(T, np.float32)
    for t in range(T):
        top = o[t] if o[t] > c[t] else c[t]
        above[t] = h[t] - top if o[t] == o[t] else nan
    for t in range(T):
        bottom = o[t] if o[t] < c[t] else c[t]
        below[t] = bottom - l[t] if o[t] == o[t] else nan
    for t in range(T):
        extent[t] = (h[t] - l[t]) + eps
    body = c - o
    shift = np.float32(2.0) * c - h - l
    _ratio(body, o, F[0])
    _ratio(h - l, o, F[1])
    _ratio(body, extent, F[2])
    _ratio(above, o, F[3])
    _ratio(above, extent, F[4])
    _ratio(below, o, F[5])
    _ratio(below, extent, F[6])
    _ratio(shift, o, F[7])
    _ratio(shift, extent, F[8])
    _ratio(o, c, F[9])
    _ratio(h, c, F[10])
    _ratio(l, c, F[11])
    _ratio(vw, c, F[12])


@compiled
def _mean(s: Doubles, n1: Doubles, scale: Doubles, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(s[t] * n1[t] * scale[t])


@compiled
def _deviation(squares: Doubles, n0: Doubles, scale: Doubles, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(np.sqrt(squares[t] * n0[t]) * scale[t])


@compiled
def _slope(Ckx: Doubles, Ckk: Doubles, ic: Doubles, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(-Ckx[t] / Ckk[t] * ic[t])


@compiled
def _explained(Ckx: Doubles, Ckk: Doubles, Cxx: Doubles, n0: Doubles, out: Floats) -> None:
    for t in range(out.size):
        share = np.float32(Ckx[t] * Ckx[t] / (Ckk[t] * Cxx[t]))
        out[t] = np.float32(np.nan) if Cxx[t] * n0[t] <= FLAT_VARIANCE else share


@compiled
def _last_residual(
    x: Doubles, Sx: Doubles, Sk: Doubles, n1: Doubles, Ckx: Doubles, Ckk: Doubles, ic: Doubles, out: Floats
) -> None:
    for t in range(out.size):
        out[t] = np.float32((x[t] - Sx[t] * n1[t] + Ckx[t] / Ckk[t] * Sk[t] * n1[t]) * ic[t])


@compiled
def _correlation(
    Cxy: Doubles, Cxx: Doubles, Cyy: Doubles, Ax: Doubles, ax0: Doubles, Ay: Doubles, ay0: Doubles, out: Floats
) -> None:
    """Cxx, Cyy are over common rows; Ax, Ay over all rows of each series alone: those decide what is constant."""
    for t in range(out.size):
        r = np.float32(Cxy[t] / np.sqrt(Cxx[t] * Cyy[t]))
        flat = (Ax[t] * ax0[t] <= FLAT_VARIANCE) | (Ay[t] * ay0[t] <= FLAT_VARIANCE)
        out[t] = np.float32(np.nan) if flat else r


@compiled
def _moments(
    x: Doubles, m: Doubles, work: Doubles, n: Doubles, n1: Doubles, n0: Doubles, Sx: Doubles, Sxx: Doubles, Cxx: Doubles
) -> None:
    counts(m, n, n1, n0)
    window_sums(x, Sx)
    multiply(x, x, work)
    window_sums(work, Sxx)
    centred_squares(x, m, Sx, Sxx, n1, Cxx)


@compiled
def _keep_common(m: Doubles, other: Doubles, x: Doubles, common: Doubles, kept: Doubles) -> None:
    multiply(m, other, common)
    multiply(x, common, kept)


@compiled
def _differ(a: Doubles, b: Doubles) -> bool:
    found = 0
    for t in range(a.size):
        found += a[t] != b[t]
    return found > 0


@compiled
def correlation_columns(
    x: Doubles, mx: Doubles, nx0: Doubles, Cxx: Doubles, Sx: Doubles, Sxx: Doubles, y: Doubles, my: Doubles, F: Floats
) -> None:
    """Write the Pearson correlation of two padded series over each window to `F [5, T]`, over their common rows.

    NaN with fewer than two common rows and where either series is constant over its own rows.
    """
    L = x.size
    work, n, n1, ny0 = np.empty(L), np.empty((5, L)), np.empty((5, L)), np.empty((5, L))
    Sy, Syy, Cyy, Sxy, Cxy = np.empty((5, L)), np.empty((5, L)), np.empty((5, L)), np.empty((5, L)), np.empty((5, L))
    _moments(y, my, work, n, n1, ny0, Sy, Syy, Cyy)
    px, py, m = x, y, mx
    Px, Pxx, Qxx, Py, Pyy, Qyy = Sx, Sxx, Cxx, Sy, Syy, Cyy
    if _differ(mx, my):
        px, py, m, spare = np.empty(L), np.empty(L), np.empty(L), np.empty((5, L))
        Px, Pxx, Qxx = np.empty((5, L)), np.empty((5, L)), np.empty((5, L))
        Py, Pyy, Qyy = np.empty((5, L)), np.empty((5, L)), np.empty((5, L))
        _keep_common(mx, my, x, m, px)
        _keep_common(mx, my, y, m, py)
        _moments(px, m, work, n, n1, spare, Px, Pxx, Qxx)
        _moments(py, m, work, n, n1, spare, Py, Pyy, Qyy)
    multiply(px, py, work)
    window_sums(work, Sxy)
    centred_products(px, py, m, Px, Py, Sxy, n1, Qxx, Pxx, Qyy, Pyy, Cxy)
    for w in range(5):
        _correlation(
            Cxy[w, PAD:], Qxx[w, PAD:], Qyy[w, PAD:], Cxx[w, PAD:], nx0[w, PAD:], Cyy[w, PAD:], ny0[w, PAD:], F[w]
        )


@compiled
def close_columns(c: Floats, v: Floats, ic: Doubles, F: Floats) -> None:
    """ROC, MA, STD, BETA, RSQR, RESI, RANK of the close, and CORR of the close with log volume."""
    T = c.size
    L = T + PAD
    x, m, work = np.empty(L), np.empty(L), np.empty(L)
    n, n1, n0 = np.empty((5, L)), np.empty((5, L)), np.empty((5, L))
    Sx, Sxx, Cxx = np.empty((5, L)), np.empty((5, L)), np.empty((5, L))
    load(c, x, m)
    _moments(x, m, work, n, n1, n0, Sx, Sxx, Cxx)
    Sk, Skk, Skx, Ckk, Ckx = np.empty((5, L)), np.empty((5, L)), np.empty((5, L)), np.empty((5, L)), np.empty((5, L))
    lag_sums(m, n, Sk)
    square_lag_sums(m, n, Sk, Skk)
    lag_sums(x, Sx, Skx)
    lag_products(x, m, Sx, Skx, Sk, n1, Cxx, Sxx, Ckx)
    for w in range(5):
        d = WINDOWS[w]
        a, b, k = n1[w, PAD:], n0[w, PAD:], Sk[w, PAD:]
        s, q, kx, kk = Sx[w, PAD:], Cxx[w, PAD:], Ckx[w, PAD:], Ckk[w, PAD:]
        _centred_lags(Skk[w, PAD:], k, a, kk)
        F[ROC + w, : min(d, T)] = np.nan
        if d < T:
            _ratio(c[: T - d], c[d:], F[ROC + w, d:])
        _mean(s, a, ic, F[MA + w])
        _deviation(q, b, ic, F[STD + w])
        _slope(kx, kk, ic, F[BETA + w])
        _explained(kx, kk, q, b, F[RSQR + w])
        _last_residual(x[PAD:], s, k, a, kx, kk, ic, F[RESI + w])
    window_ranks(c, n1, F[RANK : RANK + 5])
    y, my = np.empty(L), np.empty(L)
    load(np.log(v + np.float32(1.0)), y, my)
    correlation_columns(x, m, n0, Cxx, Sx, Sxx, y, my, F[CORR : CORR + 5])


@compiled
def _centred_lags(Skk: Doubles, Sk: Doubles, n1: Doubles, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = Skk[t] - Sk[t] * Sk[t] * n1[t]


@compiled
def _extreme(v: Floats, sign: float, ic: Doubles, out: Floats) -> None:
    for t in range(out.size):
        value = np.float32(sign * np.float64(v[t]) * ic[t])
        out[t] = value if v[t] != -np.inf else np.float32(np.nan)


@compiled
def _stochastic(c: Floats, top: Floats, bottom: Floats, out: Floats) -> None:
    for t in range(out.size):
        low = -np.float64(bottom[t])
        share = np.float32((np.float64(c[t]) - low) / ((np.float64(top[t]) - low) + EPS))
        out[t] = share if (top[t] != -np.inf) & (bottom[t] != -np.inf) else np.float32(np.nan)


@compiled
def _difference(a: Floats, b: Floats, d: float, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32((np.float64(a[t]) - np.float64(b[t])) / d)


@compiled
def _divide(a: Floats, d: float) -> None:
    for t in range(a.size):
        a[t] = np.float32(np.float64(a[t]) / d)


@compiled
def _load_maxima(values: Floats, sign: float, x: Floats) -> None:
    x[:PAD] = -np.inf
    X = x[PAD:]
    s = np.float32(sign)
    for t in range(values.size):
        X[t] = s * values[t] if values[t] == values[t] else np.float32(-np.inf)


@compiled
def extreme_columns(h: Floats, l: Floats, c: Floats, ic: Doubles, F: Floats) -> None:  # noqa: E741
    """MAX, MIN, RSV, and the places IMAX, IMIN, IMXD of the extremes."""
    T = c.size
    L = T + PAD
    x, row = np.empty(L, np.float32), np.zeros(L, np.float32)
    for t in range(T):
        row[PAD + t] = np.float32(t)
    top, at_top = np.empty((5, L), np.float32), np.empty((5, L), np.float32)
    bottom, at_bottom = np.empty((5, L), np.float32), np.empty((5, L), np.float32)
    _load_maxima(h, 1.0, x)
    window_maxima(x, row, top, at_top)
    _load_maxima(l, -1.0, x)
    window_maxima(x, row, bottom, at_bottom)
    first_extreme_places(h, top, at_top, F[IMAX : IMAX + 5])
    first_extreme_places(l, bottom, at_bottom, F[IMIN : IMIN + 5])
    for w in range(5):
        d = float(WINDOWS[w])
        _extreme(top[w, PAD:], 1.0, ic, F[MAX + w])
        _extreme(bottom[w, PAD:], -1.0, ic, F[MIN + w])
        _stochastic(c, top[w, PAD:], bottom[w, PAD:], F[RSV + w])
        _difference(F[IMAX + w], F[IMIN + w], d, F[IMXD + w])
        _divide(F[IMAX + w], d)
        _divide(F[IMIN + w], d)


@compiled
def _frequency(s: Doubles, d: int, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(s[t] / min(t + 1, d))


@compiled
def _frequency_gap(a: Doubles, b: Doubles, d: int, out: Floats) -> None:
    for t in range(out.size):
        rows = min(t + 1, d)
        out[t] = np.float32(a[t] / rows - b[t] / rows)


@compiled
def _part(a: Doubles, b: Doubles, n: Doubles, out: Floats) -> None:
    for t in range(out.size):
        share = np.float32(a[t] / (a[t] + b[t] + EPS))
        out[t] = share if n[t] > 0.0 else np.float32(np.nan)


@compiled
def _part_gap(a: Doubles, b: Doubles, n: Doubles, out: Floats) -> None:
    for t in range(out.size):
        share = np.float32((a[t] - b[t]) / (a[t] + b[t] + EPS))
        out[t] = share if n[t] > 0.0 else np.float32(np.nan)


@compiled
def _rises(x: Floats, sign: float, out: Doubles, m: Doubles) -> None:
    """Write the positive part of sign * (x[t] - x[t-1]) as a padded series, and the mask of known changes."""
    out[: PAD + 1] = 0.0
    m[: PAD + 1] = 0.0
    X, M = out[PAD + 1 :], m[PAD + 1 :]
    now, before = x[1:], x[: x.size - 1]
    s = np.float32(sign)
    for t in range(M.size):
        change = now[t] - before[t]
        M[t] = 0.0 if np.isnan(change) else 1.0
    for t in range(X.size):
        change = s * (now[t] - before[t])
        X[t] = np.float64(change) if change > 0.0 else 0.0


@compiled
def _positive(x: Doubles, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = 1.0 if x[t] > 0.0 else 0.0


@compiled
def change_columns(x: Floats, count_rows: bool, F: Floats) -> None:
    """Write gains, losses and their balance as shares of all changes to `F[:15]` (SUM* and VSUM*).

    With `count_rows`, `F` is preceded by the shares of rising and falling rows and their balance: CNT* in `F[:15]`,
    SUM* in `F[15:30]`. A row without a known change counts as neither, but it is counted.
    """
    L = x.size + PAD
    up, down, m, sign = np.empty(L), np.empty(L), np.empty(L), np.empty(L)
    n, A, B = np.empty((5, L)), np.empty((5, L)), np.empty((5, L))
    _rises(x, 1.0, up, m)
    _rises(x, -1.0, down, m)
    first = 0
    if count_rows:
        first = 15
        _positive(up, sign)
        window_sums(sign, A)
        _positive(down, sign)
        window_sums(sign, B)
        for w in range(5):
            _frequency(A[w, PAD:], WINDOWS[w], F[w])
            _frequency(B[w, PAD:], WINDOWS[w], F[5 + w])
            _frequency_gap(A[w, PAD:], B[w, PAD:], WINDOWS[w], F[10 + w])
    window_sums(m, n)
    window_sums(up, A)
    window_sums(down, B)
    for w in range(5):
        _part(A[w, PAD:], B[w, PAD:], n[w, PAD:], F[first + w])
        _part(B[w, PAD:], A[w, PAD:], n[w, PAD:], F[first + 5 + w])
        _part_gap(A[w, PAD:], B[w, PAD:], n[w, PAD:], F[first + 10 + w])


@compiled
def volume_columns(v: Floats, F: Floats) -> None:
    """Write VMA and VSTD to `F[:10]`: mean and standard deviation of volume in units of today's."""
    L = v.size + PAD
    x, m, work = np.empty(L), np.empty(L), np.empty(L)
    n, n1, n0 = np.empty((5, L)), np.empty((5, L)), np.empty((5, L))
    Sx, Sxx, Cxx = np.empty((5, L)), np.empty((5, L)), np.empty((5, L))
    load(v, x, m)
    _moments(x, m, work, n, n1, n0, Sx, Sxx, Cxx)
    iv = 1.0 / (v + np.float32(EPS)).astype(np.float64)
    for w in range(5):
        _mean(Sx[w, PAD:], n1[w, PAD:], iv, F[w])
        _deviation(Cxx[w, PAD:], n0[w, PAD:], iv, F[5 + w])


@compiled
def _relative_deviation(squares: Doubles, n0: Doubles, s: Doubles, n1: Doubles, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(np.sqrt(squares[t] * n0[t]) / (s[t] * n1[t] + EPS))


@compiled
def return_columns(c: Floats, v: Floats, F: Floats) -> None:
    """CORD (price change with volume change) and WVMA (volatility of volume-weighted absolute returns)."""
    T = c.size
    L = T + PAD
    x, mx, y, my, work = np.empty(L), np.empty(L), np.empty(L), np.empty(L), np.empty(L)
    n, n1, n0 = np.empty((5, L)), np.empty((5, L)), np.empty((5, L))
    Sx, Sxx, Cxx = np.empty((5, L)), np.empty((5, L)), np.empty((5, L))
    one = np.float32(1.0)
    price, traded = np.empty(T, np.float32), np.empty(T, np.float32)
    price[0] = np.nan
    traded[0] = np.nan
    _ratio(c[1:], c[: T - 1], price[1:])
    _ratio(v[1:], v[: T - 1], traded[1:])
    # price ratios lie near 1: taking 1 off is exact in float32 and leaves the digits that a correlation needs
    load(price - one, x, mx)
    load(np.log(traded + one), y, my)
    _moments(x, mx, work, n, n1, n0, Sx, Sxx, Cxx)
    correlation_columns(x, mx, n0, Cxx, Sx, Sxx, y, my, F[CORD : CORD + 5])
    load(np.abs(price - one) * v, x, mx)
    _moments(x, mx, work, n, n1, n0, Sx, Sxx, Cxx)
    for w in range(5):
        _relative_deviation(Cxx[w, PAD:], n0[w, PAD:], Sx[w, PAD:], n1[w, PAD:], F[WVMA + w])


@compiled
def quantile_columns(low: Doubles, high: Doubles, ic: Doubles, F: Floats) -> None:
    """QTLU and QTLD from quantiles `[5, R]`, R >= T, that were found for a block of stocks."""
    for w in range(5):
        a, b = F[QTLU + w], F[QTLD + w]
        for t in range(a.size):
            a[t] = np.float32(high[w, t] * ic[t])
        for t in range(b.size):
            b[t] = np.float32(low[w, t] * ic[t])


@compiled
def span_columns(
    o: Floats, h: Floats, l: Floats, c: Floats, v: Floats, vw: Floats, low: Doubles, high: Doubles, F: Floats  # noqa: E741
) -> None:  # fmt: skip
    """Write the 158 columns `F [158, T]` of a listed span from its bars `[T]` and close quantiles `[5, R]`, R >= T."""
    ic = 1.0 / c.astype(np.float64)
    bar_columns(o, h, l, c, vw, F)
    close_columns(c, v, ic, F)
    extreme_columns(h, l, c, ic, F)
    quantile_columns(low, high, ic, F)
    return_columns(c, v, F)
    change_columns(c, True, F[CNTP : CNTP + 30])
    volume_columns(v, F[VMA : VMA + 10])
    change_columns(v, False, F[VSUMP : VSUMP + 15])

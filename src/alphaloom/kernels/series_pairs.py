"""Covariances, correlations and regressions of two series over any number of windows: conventions as in `series_work`.

a and b are the operands in the operator's order: regressions explain a (y) by b (x). Sums run over the rows where both
are known; `Caa`, `Cbb`, `Cab` are sums of squares and products around the means of those rows.
"""

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.kernels.series_moments import BLOCK, TWICE, centre, count_cancelled, direct_square, equal, squares
from alphaloom.kernels.series_sums import (
    COUNT,
    MEAN,
    MEANS,
    SAMPLE,
    SAMPLES,
    blank_few,
    count,
    differ,
    lengths_of,
    load,
    multiply,
    window_sums,
)
from alphaloom.kernels.series_work import CODES, Work
from alphaloom.typing import Doubles, Floats, Ints

TS_COV, TS_CORR, TS_BETA, TS_RESIDUAL, TS_RSQUARE_ON, TS_RESIDUAL_STD = range(len(CODES["pairs"]))
CLOSE_FIT = 1e-3
"""Where residuals are less than this share of the squares, their difference has lost too many digits."""


@compiled
def _direct_product(a: Doubles, b: Doubles, m: Doubles, first: int, stop: int, decay: float) -> float:
    """Return the weighted sum of products around the weighted means of rows first ... stop - 1."""
    weight, sum_a, sum_b, w = 0.0, 0.0, 0.0, 1.0
    for i in range(stop - 1, first - 1, -1):
        weight += w * m[i]
        sum_a += w * a[i]
        sum_b += w * b[i]
        w *= decay
    mean_a, mean_b = sum_a / weight, sum_b / weight
    product, w = 0.0, 1.0
    for i in range(stop - 1, first - 1, -1):
        product += w * m[i] * (a[i] - mean_a) * (b[i] - mean_b)
        w *= decay
    return product


@compiled
def _products(
    a: Doubles, b: Doubles, m: Doubles, Sab: Doubles, Sa: Doubles, Sb: Doubles, mean: Doubles,
    Caa: Doubles, Qaa: Doubles, Cbb: Doubles, Qbb: Doubles, d: int, half_life: float, out: Doubles,
) -> None:  # fmt: skip
    """Write the window sums of (a - mean a)(b - mean b); where either hardly varies they are summed again."""
    centre(Sab, Sa, Sb, mean, out)
    decay = 1.0 if half_life == 0.0 else 0.5 ** (1.0 / half_life)
    for start in range(0, out.size, BLOCK):
        stop = min(start + BLOCK, out.size)
        a_, b_ = (
            count_cancelled(Caa[start:stop], Qaa[start:stop], TWICE),
            count_cancelled(Cbb[start:stop], Qbb[start:stop], TWICE),
        )
        if a_ + b_ == 0:
            continue
        for t in range(start, stop):
            if Caa[t] == 0.0 or Cbb[t] == 0.0:
                out[t] = 0.0
            elif Caa[t] < TWICE * Qaa[t] or Cbb[t] < TWICE * Qbb[t]:
                out[t] = _direct_product(a, b, m, max(t - d + 1, 0), t + 1, decay)


@compiled
def _covariance(Cab: Doubles, sample: Doubles, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(Cab[t] * sample[t])


@compiled
def _correlation(Cab: Doubles, Caa: Doubles, Cbb: Doubles, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(Cab[t] / np.sqrt(Caa[t] * Cbb[t]))


@compiled
def _plain_correlation(
    Sab: Doubles, Sa: Doubles, Sb: Doubles, Qaa: Doubles, Qbb: Doubles, mean: Doubles, limit: float, out: Floats
) -> int:
    """Write the correlations in one pass and return over how many windows a series varies too little for that.

    Too little is a sum of squares of no more than the limit, or one that may have to be summed again. Over one row
    every sum is exactly 0 and the result NaN, as it should be.
    """
    found = 0
    for t in range(out.size):
        Caa = Qaa[t] - Sa[t] * Sa[t] * mean[t]
        Cbb = Qbb[t] - Sb[t] * Sb[t] * mean[t]
        Cab = Sab[t] - Sa[t] * Sb[t] * mean[t]
        flat = (Caa < TWICE * Qaa[t]) | (Cbb < TWICE * Qbb[t]) | (Caa <= limit) | (Cbb <= limit)
        found += flat & (mean[t] < 1.0)
        out[t] = np.float32(Cab / np.sqrt(Caa * Cbb))
    return found


@compiled
def _is_flat(x: Doubles, m: Doubles, least_variance: float, first: int, stop: int, half_life: float) -> bool:
    """Return whether the variance of the known rows first ... stop - 1 is no more than the least."""
    decay = 1.0 if half_life == 0.0 else 0.5 ** (1.0 / half_life)
    if equal(x, m, first, stop):
        return True
    weight, w = 0.0, 1.0
    for i in range(stop - 1, first - 1, -1):
        weight += w * m[i]
        w *= decay
    freedom = weight if half_life > 0.0 else weight - 1.0
    return direct_square(x, m, first, stop, decay) <= least_variance * freedom


@compiled
def _blank_flat(
    x: Doubles, m: Doubles, Cxx: Doubles, least_variance: float, d: int, half_life: float, out: Floats
) -> None:
    """Set `out` to NaN where the series `x`, `m` deviates too little over its own rows.

    Those include the common rows, whose sum of squares `Cxx` is therefore no larger: where that suffices, no window is
    looked at again.
    """
    for start in range(0, out.size, BLOCK):
        stop = min(start + BLOCK, out.size)
        if count_at_most(Cxx[start:stop], least_variance * d) == 0:
            continue
        for t in range(start, stop):
            if Cxx[t] <= least_variance * d and _is_flat(x, m, least_variance, max(t - d + 1, 0), t + 1, half_life):
                out[t] = np.nan


@compiled
def count_at_most(c: Doubles, limit: float) -> int:
    """Return how many values are no more than a limit."""
    found = 0
    for t in range(c.size):
        found += c[t] <= limit
    return found


@compiled
def _beta(Cab: Doubles, Cbb: Doubles, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(Cab[t] / Cbb[t])


@compiled
def _residual(
    a: Doubles, b: Doubles, m: Doubles, Sa: Doubles, Sb: Doubles, mean: Doubles, Cab: Doubles, Cbb: Doubles, out: Floats
) -> None:
    for t in range(out.size):
        left = np.float32((a[t] - Sa[t] * mean[t]) - Cab[t] / Cbb[t] * (b[t] - Sb[t] * mean[t]))
        out[t] = left if m[t] > 0.0 else np.float32(np.nan)


@compiled
def _explained(Cab: Doubles, Caa: Doubles, Cbb: Doubles, out: Floats) -> None:
    for t in range(out.size):
        share = Cab[t] * Cab[t] / (Caa[t] * Cbb[t])
        out[t] = np.float32(1.0 if share > 1.0 else share)


@compiled
def _direct_residual(a: Doubles, b: Doubles, m: Doubles, beta: float, first: int, stop: int, decay: float) -> float:
    """Return the weighted sum of squared residuals of rows first ... stop - 1."""
    weight, total, w = 0.0, 0.0, 1.0
    for i in range(stop - 1, first - 1, -1):
        weight += w * m[i]
        total += w * m[i] * (a[i] - beta * b[i])
        w *= decay
    level, square, w = total / weight, 0.0, 1.0
    for i in range(stop - 1, first - 1, -1):
        left = a[i] - beta * b[i] - level
        square += w * m[i] * left * left
        w *= decay
    return square


@compiled
def _residual_deviation(
    a: Doubles, b: Doubles, m: Doubles, Cab: Doubles, Caa: Doubles, Cbb: Doubles, mean: Doubles, d: int,
    half_life: float, out: Floats,
) -> None:  # fmt: skip
    """Write the root mean square of the residuals; where little is left over it is summed directly."""
    decay = 1.0 if half_life == 0.0 else 0.5 ** (1.0 / half_life)
    for t in range(out.size):
        left = Caa[t] - Cab[t] * Cab[t] / Cbb[t]
        if left < CLOSE_FIT * Caa[t]:
            left = _direct_residual(a, b, m, Cab[t] / Cbb[t], max(t - d + 1, 0), t + 1, decay)
        out[t] = np.float32(np.sqrt(left * mean[t]))


@compiled
def _sums(v: Doubles, used: Ints, half_life: float, work: Work, S: Doubles, Q: Doubles) -> None:
    square = work.rows[6, : v.size]
    multiply(v, v, square)
    window_sums(v, used, half_life, work.steps, S)
    window_sums(square, used, half_life, work.steps, Q)


@compiled
def pairs(
    regs: Floats, n: int, a: int, b: int, half_life: float, requests: Ints, parameters: Doubles, work: Work
) -> None:
    """Write the requested operators (`CODES["pairs"]`) of registers a and b: see `series_work`."""
    used = lengths_of(requests, work.steps)
    rows, sums, steps = work.rows, work.sums, work.steps
    own_a, mask_a, own_b, mask_b = rows[0, :n], rows[1, :n], rows[2, :n], rows[3, :n]
    va, vb, m = own_a, own_b, mask_a
    load(regs[a, :n], own_a, mask_a)
    load(regs[b, :n], own_b, mask_b)
    if differ(mask_a, mask_b):
        va, vb, m = rows[4, :n], rows[5, :n], rows[7, :n]
        multiply(mask_a, mask_b, m)
        multiply(own_a, m, va)
        multiply(own_b, m, vb)
    product, Caa, Cbb, Cab = rows[6, :n], rows[8, :n], rows[9, :n], rows[10, :n]
    Sa, Qa, Sb, Qb, Sab = sums[0], sums[1], sums[2], sums[3], sums[4]
    _sums(va, used, half_life, work, Sa, Qa)
    _sums(vb, used, half_life, work, Sb, Qb)
    multiply(va, vb, product)
    window_sums(product, used, half_life, steps, Sab)
    counts = count(m, used, half_life, SAMPLES if (requests[:, 0] == TS_COV).any() else MEANS, work)
    only_correlations = (requests[:, 0] == TS_CORR).all()
    for c in range(used.size):
        if used[c] != 2:
            continue
        d = steps[c, 0]
        number, mean, sample = counts[COUNT, c, :n], counts[MEAN, c, :n], counts[SAMPLE, c, :n]
        if only_correlations and half_life == 0.0:
            flat = 0
            for k in range(requests.shape[0]):
                if requests[k, 1] == d:
                    out = regs[requests[k, 3], :n]
                    limit = parameters[k, 0] ** 2 * d
                    flat += _plain_correlation(
                        Sab[c, :n], Sa[c, :n], Sb[c, :n], Qa[c, :n], Qb[c, :n], mean, limit, out
                    )  # fmt: skip
                    if requests[k, 2] > 2:
                        blank_few(number, requests[k, 2], out)
            if flat == 0:
                continue
        squares(va, m, Sa[c, :n], Qa[c, :n], mean, d, half_life, Caa)
        squares(vb, m, Sb[c, :n], Qb[c, :n], mean, d, half_life, Cbb)
        _products(
            va, vb, m, Sab[c, :n], Sa[c, :n], Sb[c, :n], mean, Caa, Qa[c, :n], Cbb, Qb[c, :n], d, half_life, Cab
        )  # fmt: skip
        for k in range(requests.shape[0]):
            if requests[k, 1] != d:
                continue
            code, least = requests[k, 0], requests[k, 2]
            out = regs[requests[k, 3], :n]
            if code == TS_COV:
                _covariance(Cab, sample, out)
            elif code == TS_CORR:
                _correlation(Cab, Caa, Cbb, out)
                if parameters[k, 0] > 0.0:
                    _blank_flat(own_a, mask_a, Caa, parameters[k, 0] ** 2, d, half_life, out)
                    _blank_flat(own_b, mask_b, Cbb, parameters[k, 0] ** 2, d, half_life, out)
            elif code == TS_BETA:
                _beta(Cab, Cbb, out)
            elif code == TS_RESIDUAL:
                _residual(va, vb, m, Sa[c, :n], Sb[c, :n], mean, Cab, Cbb, out)
            elif code == TS_RSQUARE_ON:
                _explained(Cab, Caa, Cbb, out)
            elif code == TS_RESIDUAL_STD:
                _residual_deviation(va, vb, m, Cab, Caa, Cbb, mean, d, half_life, out)
            if least > 2 or half_life > 0.0:
                blank_few(number, least, out)

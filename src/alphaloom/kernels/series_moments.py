"""Sums, means, variances and trends of one series over any number of windows: conventions as in `series_work`.

| symbol | meaning |
|---|---|
| x, m | series and mask |
| S, Q, K | window sums of x, x^2 and lag * x |
| Cxx, Ckx | sums of squares and products around the window means; k is the lag |
| ikk | 1 / sum of squared lags around their mean |
"""

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.kernels.series_sums import (
    COUNT,
    COUNTS,
    LAG,
    LAG_SPREAD,
    LAGS,
    MEAN,
    MEANS,
    SAMPLE,
    SAMPLES,
    blank_few,
    count,
    lag_sums,
    lengths_of,
    load,
    multiply,
    window_sums,
)
from alphaloom.kernels.series_work import CODES, Work
from alphaloom.typing import Doubles, Floats, Ints

(TS_SUM, TS_MEAN, TS_COUNT, DECAY_LINEAR, TS_VAR, TS_STD, TS_ZSCORE, TS_SLOPE, TS_RESID, TS_RSQUARE) = range(
    len(CODES["moments"])
)
FIRST_SQUARE, FIRST_TREND = TS_VAR, TS_SLOPE
"""Codes from these on need squares, and the lags as well."""
CANCELLED = 1e-8
"""Where a centred sum of squares is less than this share of the raw one, it has lost too many digits."""
BLOCK = 64
"""Rows that are searched for such windows at a time."""
TWICE = 2.0 * CANCELLED
"""The same for a sum of squares that may have been summed again: it includes all that were."""


@compiled
def centre(raw: Doubles, a: Doubles, b: Doubles, mean: Doubles, out: Doubles) -> None:
    """Write the sum of products around the means: raw - a b / n."""
    for t in range(out.size):
        out[t] = raw[t] - a[t] * b[t] * mean[t]


@compiled
def count_cancelled(c: Doubles, raw: Doubles, share: float) -> int:
    """Return how many centred sums of squares are less than a share of the raw ones."""
    found = 0
    for t in range(c.size):
        found += c[t] < share * raw[t]
    return found


@compiled
def direct_square(x: Doubles, m: Doubles, first: int, stop: int, decay: float) -> float:
    """Return the weighted sum of squares around the weighted mean of rows first ... stop - 1."""
    weight, total, w = 0.0, 0.0, 1.0
    for i in range(stop - 1, first - 1, -1):
        weight += w * m[i]
        total += w * x[i]
        w *= decay
    mean = total / weight
    square, w = 0.0, 1.0
    for i in range(stop - 1, first - 1, -1):
        square += w * m[i] * (x[i] - mean) * (x[i] - mean)
        w *= decay
    return square


@compiled
def squares(
    x: Doubles, m: Doubles, S: Doubles, Q: Doubles, mean: Doubles, d: int, half_life: float, out: Doubles
) -> None:
    """Write the window sums of (x - window mean)^2; NaN over no rows.

    The difference Q - S^2/n is exact enough unless the window hardly varies; such a window is summed again around its
    own mean, and one of equal values gets exactly 0.
    """
    centre(Q, S, S, mean, out)
    decay = 1.0 if half_life == 0.0 else 0.5 ** (1.0 / half_life)
    for start in range(0, out.size, BLOCK):
        stop = min(start + BLOCK, out.size)
        if count_cancelled(out[start:stop], Q[start:stop], CANCELLED) == 0:
            continue
        for t in range(start, stop):
            if out[t] < CANCELLED * Q[t]:
                first = max(t - d + 1, 0)
                out[t] = 0.0 if equal(x, m, first, t + 1) else direct_square(x, m, first, t + 1, decay)


@compiled
def equal(x: Doubles, m: Doubles, first: int, stop: int) -> bool:
    """Return whether all known values of rows first ... stop - 1 are the same."""
    value, found = 0.0, False
    for i in range(first, stop):
        if m[i] > 0.0:
            if found and x[i] != value:
                return False
            value, found = x[i], True
    return True


@compiled
def _direct_lag(x: Doubles, m: Doubles, mean_lag: float, first: int, stop: int) -> float:
    n, total = 0.0, 0.0
    for i in range(first, stop):
        n += m[i]
        total += x[i]
    mean, product = total / n, 0.0
    for i in range(first, stop):
        product += m[i] * (stop - 1 - i - mean_lag) * (x[i] - mean)
    return product


@compiled
def _lag_products(
    x: Doubles, m: Doubles, K: Doubles, S: Doubles, Q: Doubles, Cxx: Doubles, lag: Doubles, mean: Doubles, d: int,
    out: Doubles,
) -> None:  # fmt: skip
    """Write the window sums of (lag - mean lag)(x - mean x), a slope's numerator with its sign turned.

    `lag` is the sum of lags, `mean` 1/n. Windows that hardly vary (`TWICE`) are summed again.
    """
    centre(K, lag, S, mean, out)
    for start in range(0, out.size, BLOCK):
        stop = min(start + BLOCK, out.size)
        if count_cancelled(Cxx[start:stop], Q[start:stop], TWICE) == 0:
            continue
        for t in range(start, stop):
            if Cxx[t] < TWICE * Q[t]:
                out[t] = 0.0 if Cxx[t] == 0.0 else _direct_lag(x, m, lag[t] * mean[t], max(t - d + 1, 0), t + 1)


@compiled
def _plain(s: Doubles, n: Doubles, least: float, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(s[t]) if n[t] >= least else np.float32(np.nan)


@compiled
def _mean(s: Doubles, mean: Doubles, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(s[t] * mean[t])


@compiled
def _decay(S: Doubles, K: Doubles, n: Doubles, lag: Doubles, d: float, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32((d * S[t] - K[t]) / (d * n[t] - lag[t]))


@compiled
def _deviation(Cxx: Doubles, sample: Doubles, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(np.sqrt(Cxx[t] * sample[t]))


@compiled
def _zscore(x: Doubles, m: Doubles, S: Doubles, mean: Doubles, Cxx: Doubles, sample: Doubles, out: Floats) -> None:
    for t in range(out.size):
        z = np.float32((x[t] - S[t] * mean[t]) / np.sqrt(Cxx[t] * sample[t]))
        out[t] = z if (m[t] > 0.0) & (Cxx[t] > 0.0) else np.float32(np.nan)


@compiled
def _slope(Ckx: Doubles, ikk: Doubles, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(0.0 - Ckx[t] * ikk[t])


@compiled
def _residual(
    x: Doubles, m: Doubles, S: Doubles, lag: Doubles, mean: Doubles, Ckx: Doubles, ikk: Doubles, out: Floats
) -> None:
    for t in range(out.size):
        left = np.float32(x[t] - (S[t] - Ckx[t] * ikk[t] * lag[t]) * mean[t])
        out[t] = left if m[t] > 0.0 else np.float32(np.nan)


@compiled
def _explained(Ckx: Doubles, ikk: Doubles, Cxx: Doubles, sample: Doubles, least_variance: float, out: Floats) -> None:
    for t in range(out.size):
        share = np.float32(Ckx[t] * Ckx[t] * ikk[t] / Cxx[t])
        out[t] = share if Cxx[t] * sample[t] > least_variance else np.float32(np.nan)


@compiled
def moments(regs: Floats, n: int, x: int, half_life: float, requests: Ints, parameters: Doubles, work: Work) -> None:
    """Write the requested operators (`CODES["moments"]`) of register x: see `series_work`."""
    used = lengths_of(requests, work.steps)
    highest = requests[:, 0].max()
    decays = (requests[:, 0] == DECAY_LINEAR).any()
    lags = decays or highest >= FIRST_TREND
    means = (requests[:, 0] == TS_MEAN).any()
    v, m, product = work.rows[0, :n], work.rows[1, :n], work.rows[2, :n]
    Cxx, Ckx = work.rows[3, :n], work.rows[4, :n]
    sums = work.sums
    load(regs[x, :n], v, m)
    window_sums(v, used, half_life, work.steps, sums[0])
    if highest >= FIRST_SQUARE:
        multiply(v, v, product)
        window_sums(product, used, half_life, work.steps, sums[1])
    if lags:
        lag_sums(used, work.steps, n, sums[0], sums[2])
    level = LAGS if lags else SAMPLES if highest >= FIRST_SQUARE else MEANS if means else COUNTS
    counts = count(m, used, half_life, level, work)
    for c in range(used.size):
        if used[c] == 2:
            d = work.steps[c, 0]
            S, Q, K = sums[0, c, :n], sums[1, c, :n], sums[2, c, :n]
            number, mean, sample = counts[COUNT, c, :n], counts[MEAN, c, :n], counts[SAMPLE, c, :n]
            lag, ikk = counts[LAG, c, :n], counts[LAG_SPREAD, c, :n]
            centred, trended = False, False
            for k in range(requests.shape[0]):
                if requests[k, 1] != d:
                    continue
                code, least = requests[k, 0], requests[k, 2]
                out = regs[requests[k, 3], :n]
                if code >= FIRST_SQUARE and not centred:
                    squares(v, m, S, Q, mean, d, half_life, Cxx)
                    centred = True
                if code >= FIRST_TREND and not trended:
                    _lag_products(v, m, K, S, Q, Cxx, lag, mean, d, Ckx)
                    trended = True
                natural = 2
                if code == TS_MEAN:
                    natural = 1
                    _mean(S, mean, out)
                elif code in (TS_SUM, TS_COUNT):
                    natural = least
                    _plain(S, number, least, out)
                elif code == DECAY_LINEAR:
                    natural = 1
                    _decay(S, K, number, lag, float(d), out)
                elif code == TS_VAR:
                    _mean(Cxx, sample, out)
                elif code == TS_STD:
                    _deviation(Cxx, sample, out)
                elif code == TS_ZSCORE:
                    _zscore(v, m, S, mean, Cxx, sample, out)
                elif code == TS_SLOPE:
                    _slope(Ckx, ikk, out)
                elif code == TS_RESID:
                    _residual(v, m, S, lag, mean, Ckx, ikk, out)
                elif code == TS_RSQUARE:
                    _explained(Ckx, ikk, Cxx, sample, parameters[k, 0] ** 2, out)
                if least > natural or half_life > 0.0:
                    blank_few(number, least, out)

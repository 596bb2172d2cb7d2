"""Operators whose windows are summed row by row: conventions as in `series_work`.

The work grows with the window. Each lag is one pass along time, so that a window of d rows takes d passes, which the
processor does several rows at once; only the median absolute deviation sorts its windows, one row after the other.
"""

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.kernels.series_sums import blank_few, load
from alphaloom.kernels.series_work import CODES
from alphaloom.typing import Doubles, Floats, Ints

TS_LAST, TS_PRODUCT, TS_MEAN_DEVIATION, TS_SKEW, TS_KURT, TS_MAD, TS_EWM = range(len(CODES["direct"]))
NEGLIGIBLE = 2e-8
"""Weight below which `ts_ewm` drops a row."""


@compiled
def _add(x: Doubles, total: Doubles) -> None:
    for t in range(total.size):
        total[t] += x[t]


@compiled
def _times(x: Doubles, m: Doubles, total: Doubles) -> None:
    for t in range(total.size):
        total[t] *= x[t] if m[t] > 0.0 else 1.0


@compiled
def _add_distance(x: Doubles, m: Doubles, mean: Doubles, total: Doubles) -> None:
    for t in range(total.size):
        total[t] += m[t] * np.abs(x[t] - mean[t])


@compiled
def _add_power(x: Doubles, m: Doubles, mean: Doubles, power: int, total: Doubles) -> None:
    if power == 2:
        for t in range(total.size):
            e = m[t] * (x[t] - mean[t])
            total[t] += e * e
    elif power == 3:
        for t in range(total.size):
            e = m[t] * (x[t] - mean[t])
            total[t] += e * e * e
    else:
        for t in range(total.size):
            e = m[t] * (x[t] - mean[t])
            total[t] += (e * e) * (e * e)


@compiled
def _add_lags(x: Doubles, d: int, total: Doubles) -> None:
    """Write the window sums, the newest row first."""
    n = total.size
    total[:] = 0.0
    for k in range(min(d, n)):
        _add(x[: n - k], total[k:])


@compiled
def _power_sums(x: Doubles, m: Doubles, mean: Doubles, d: int, power: int, total: Doubles) -> None:
    n = total.size
    total[:] = 0.0
    for k in range(min(d, n)):
        _add_power(x[: n - k], m[: n - k], mean[k:], power, total[k:])


@compiled
def _last(x: Doubles, m: Doubles, d: int, out: Floats) -> None:
    latest = -d
    for t in range(out.size):
        if m[t] > 0.0:
            latest = t
        out[t] = np.float32(x[latest]) if t - latest < d else np.float32(np.nan)


@compiled
def _skew(second: Doubles, third: Doubles, n: Doubles, out: Floats) -> None:
    for t in range(out.size):
        variance = second[t] / n[t]
        g = third[t] / n[t] / (variance * np.sqrt(variance))
        skew = np.float32(g * np.sqrt(n[t] * (n[t] - 1.0)) / (n[t] - 2.0))
        out[t] = skew if n[t] > 2.0 else np.float32(np.nan)


@compiled
def _kurt(second: Doubles, fourth: Doubles, n: Doubles, out: Floats) -> None:
    for t in range(out.size):
        variance = second[t] / n[t]
        g = fourth[t] / n[t] / (variance * variance) - 3.0
        kurt = np.float32((n[t] - 1.0) / ((n[t] - 2.0) * (n[t] - 3.0)) * ((n[t] + 1.0) * g + 6.0))
        out[t] = kurt if n[t] > 3.0 else np.float32(np.nan)


@compiled
def _place_of(sorted_: Doubles, size: int, value: float) -> int:
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if sorted_[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _median_distance(s: Doubles, size: int) -> float:
    """Return the median of the distances from the median of the sorted values `s[:size]`.

    The k values nearest to the median are an unbroken run of the order: two hands walk outwards from it.
    """
    half = size // 2
    middle = s[half] if size % 2 else 0.5 * (s[half - 1] + s[half])
    left, right = half - 1, half
    before, here = 0.0, 0.0
    for _ in range(half + 1):
        before = here
        if right >= size or (left >= 0 and middle - s[left] <= s[right] - middle):
            here = middle - s[left]
            left -= 1
        else:
            here = s[right] - middle
            right += 1
    return here if size % 2 else 0.5 * (before + here)


@compiled
def _mad(x: Doubles, m: Doubles, d: int, out: Floats) -> None:
    s = np.empty(d + 1)
    size = 0
    for t in range(out.size):
        if t >= d and m[t - d] > 0.0:
            i = _place_of(s, size, x[t - d])
            for j in range(i, size - 1):
                s[j] = s[j + 1]
            size -= 1
        if m[t] > 0.0:
            i = _place_of(s, size, x[t])
            for j in range(size, i, -1):
                s[j] = s[j - 1]
            s[i] = x[t]
            size += 1
        out[t] = np.float32(_median_distance(s, size)) if size > 0 else np.float32(np.nan)


@compiled
def _join(newer: Doubles, older: Doubles, factor: float, out: Doubles) -> None:
    for t in range(out.size):
        out[t] = newer[t] + factor * older[t]


@compiled
def _double(a: Doubles, factor: float, rows: int, spare: Doubles) -> None:
    """Turn sums over `rows` rows into those over twice as many, older ones times `factor`."""
    n = a.size
    if rows < n:
        _join(a[rows:], a[: n - rows], factor, spare[rows:])
        a[rows:] = spare[rows:]


@compiled
def _ewm(x: Doubles, m: Doubles, span: int, n: Doubles, weight: Doubles, total: Doubles, spare: Doubles) -> None:
    """Write the numbers of values, sums of weights and weighted sums of `ts_ewm`, windows doubling from one row."""
    decay = 1.0 - 2.0 / (span + 1)
    total[:] = x
    weight[:] = m
    n[:] = m
    rows = 1
    factor = decay
    while factor > NEGLIGIBLE:
        _double(total, factor, rows, spare)
        _double(weight, factor, rows, spare)
        _double(n, 1.0, rows, spare)
        rows *= 2
        factor = decay**rows


@compiled
def _ratio(a: Doubles, b: Doubles, out: Floats) -> None:
    for t in range(out.size):
        out[t] = np.float32(a[t] / b[t])


@compiled
def direct(regs: Floats, n: int, x: int, requests: Ints) -> None:
    """Write the requested operators (`CODES["direct"]`) of register x: see `series_work`."""
    rows = np.empty((7, n))
    v, m, number, mean, first, second, spare = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6]
    load(regs[x, :n], v, m)
    for k in range(requests.shape[0]):
        code, d, least = requests[k, 0], requests[k, 1], requests[k, 2]
        out = regs[requests[k, 3], :n]
        if code == TS_EWM:
            _ewm(v, m, d, number, first, second, spare)
            _ratio(second, first, out)
        else:
            _add_lags(m, d, number)
        if code == TS_LAST:
            _last(v, m, d, out)
        elif code == TS_PRODUCT:
            first[:] = 1.0
            for lag in range(min(d, n)):
                _times(v[: n - lag], m[: n - lag], first[lag:])
            out[:] = first.astype(np.float32)
        elif code == TS_MAD:
            _mad(v, m, d, out)
        elif code != TS_EWM:
            _add_lags(v, d, first)
            mean[:] = first / number
            if code == TS_MEAN_DEVIATION:
                second[:] = 0.0
                for lag in range(min(d, n)):
                    _add_distance(v[: n - lag], m[: n - lag], mean[lag:], second[lag:])
                _ratio(second, number, out)
            else:
                _power_sums(v, m, mean, d, 2, second)
                _power_sums(v, m, mean, d, 3 if code == TS_SKEW else 4, first)
                if code == TS_SKEW:
                    _skew(second, first, number, out)
                else:
                    _kurt(second, first, number, out)
        blank_few(number, least, out)

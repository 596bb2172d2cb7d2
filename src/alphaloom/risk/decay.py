# mypy: allow-untyped-decorators
"""Exponentially weighted moments over a moving window, and the returns that they are taken of.

An observation s rows old has weight `0.5 ** (s / half_life)`, and 0 from `window` rows on. Sums are updated from row to
row: add the new observation, let the old ones decay, take out the one that leaves. NaN observations are left out.
"""

import numpy as np
from numba import njit

from alphaloom.panel import Panel
from alphaloom.typing import Bools, Doubles, Floats

TINY = 1e-12


@njit(cache=True, error_model="numpy", nogil=True)
def simple_returns(price: Floats) -> Floats:
    """Return `price[t] / last known price before t - 1` `[T, N]`; NaN on rows without a price and on the first."""
    T, N = price.shape
    out = np.full((T, N), np.nan, np.float32)
    last = np.full(N, np.nan)
    for t in range(T):
        for n in range(N):
            p = price[t, n]
            if p > 0.0:
                out[t, n] = p / last[n] - 1.0
                last[n] = p
    return out


@njit(cache=True, error_model="numpy", nogil=True)
def decayed_moments(x: Floats, window: int, half_life: float, least: int) -> tuple[Floats, Floats]:
    """Return weighted mean and standard deviation (weights normalised) `[T, N]`; NaN below `least` observations."""
    T, N = x.shape
    mean = np.full((T, N), np.nan, np.float32)
    deviation = np.full((T, N), np.nan, np.float32)
    decay = 0.5 ** (1.0 / half_life)
    leaving = decay**window
    s0, s1, s2, count = np.zeros(N), np.zeros(N), np.zeros(N), np.zeros(N, np.int64)
    for t in range(T):
        for n in range(N):
            s0[n] *= decay
            s1[n] *= decay
            s2[n] *= decay
            v = float(x[t, n])
            if not np.isnan(v):
                s0[n] += 1.0
                s1[n] += v
                s2[n] += v * v
                count[n] += 1
            if t >= window:
                v = float(x[t - window, n])
                if not np.isnan(v):
                    s0[n] -= leaving
                    s1[n] -= leaving * v
                    s2[n] -= leaving * v * v
                    count[n] -= 1
            if count[n] >= least and count[n] > 0:
                m = s1[n] / s0[n]
                mean[t, n] = m
                deviation[t, n] = np.sqrt(max(0.0, s2[n] / s0[n] - m * m))
    return mean, deviation


@njit(cache=True, error_model="numpy", nogil=True)
def decayed_regression(y: Floats, x: Doubles, window: int, half_life: float, least: int) -> tuple[Floats, Floats]:
    """Return slope and residual standard deviation `[T, N]` of weighted regressions of `y [T, N]` on `x [T]`."""
    T, N = y.shape
    slope = np.full((T, N), np.nan, np.float32)
    rest = np.full((T, N), np.nan, np.float32)
    decay = 0.5 ** (1.0 / half_life)
    leaving = decay**window
    s = np.zeros((N, 6))
    count = np.zeros(N, np.int64)
    for t in range(T):
        for n in range(N):
            row = s[n]
            for k in range(6):
                row[k] *= decay
            for old in range(2):
                if old == 1 and t < window:
                    break
                a, b = (x[t], float(y[t, n])) if old == 0 else (x[t - window], float(y[t - window, n]))
                if np.isnan(a) or np.isnan(b):
                    continue
                w = 1.0 if old == 0 else -leaving
                count[n] += 1 if old == 0 else -1
                row[0] += w
                row[1] += w * a
                row[2] += w * b
                row[3] += w * a * a
                row[4] += w * a * b
                row[5] += w * b * b
            if count[n] < least or count[n] < 2:
                continue
            mx, my = row[1] / row[0], row[2] / row[0]
            vx, vy = row[3] / row[0] - mx * mx, row[5] / row[0] - my * my
            if vx > TINY:
                b = (row[4] / row[0] - mx * my) / vx
                slope[t, n] = b
                rest[t, n] = np.sqrt(max(0.0, vy - b * b * vx))
    return slope, rest


@njit(cache=True, error_model="numpy", nogil=True)
def window_sum(x: Floats, window: int, least: int) -> Doubles:
    """Return the sum over the last `window` rows `[T, N]`, NaN left out; NaN below `least` observations."""
    T, N = x.shape
    out = np.full((T, N), np.nan)
    total, count = np.zeros(N), np.zeros(N, np.int64)
    for t in range(T):
        for n in range(N):
            v = float(x[t, n])
            if not np.isnan(v):
                total[n] += v
                count[n] += 1
            if t >= window:
                v = float(x[t - window, n])
                if not np.isnan(v):
                    total[n] -= v
                    count[n] -= 1
            if count[n] >= least and count[n] > 0:
                out[t, n] = max(0.0, total[n])
    return out


@njit(cache=True, error_model="numpy", nogil=True)
def cumulative_range(price: Floats, step: int, steps: int) -> Floats:
    """Return max - min `[T, N]` of the log return over the last 1, 2, ... `steps` periods of `step` rows.

    A row without a price counts with the last one before it; NaN when the stock had no price `steps * step` rows ago.
    """
    T, N = price.shape
    out = np.full((T, N), np.nan, np.float32)
    logs = np.full((T, N), np.nan)
    for t in range(T):
        for n in range(N):
            if price[t, n] > 0.0:
                logs[t, n] = np.log(float(price[t, n]))
            elif t > 0:
                logs[t, n] = logs[t - 1, n]
    for t in range(step * steps, T):
        for n in range(N):
            if np.isnan(logs[t - step * steps, n]) or np.isnan(price[t, n]):
                continue
            high, low = -np.inf, np.inf
            for k in range(1, steps + 1):
                z = logs[t, n] - logs[t - step * k, n]
                high, low = max(high, z), min(low, z)
            out[t, n] = high - low
    return out


def daily_returns(panel: Panel) -> Floats:
    """Return daily total returns `[T, N]`: since the last day traded; NaN on days without trading."""
    return np.asarray(simple_returns(np.ascontiguousarray(panel["adj_close"])))


def market_return(returns: Floats, universe: Bools, cap: Floats | None) -> Doubles:
    """Return the market's daily return `[T]`: members of the universe a day before, by that day's cap or equally.

    `cap [T, N]`; None means equal weights. NaN when no member has both.
    """
    out = np.full(returns.shape[0], np.nan)
    for t in range(1, out.size):
        known = universe[t - 1] & np.isfinite(returns[t])
        weight = known.astype(np.float64)
        if cap is not None:
            weight = np.where(known, np.nan_to_num(cap[t - 1].astype(np.float64), nan=0.0), 0.0)
        if weight.sum() > 0:
            out[t] = weight @ np.where(known, returns[t], 0.0) / weight.sum()
    return out

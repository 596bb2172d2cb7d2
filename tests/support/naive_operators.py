"""The time-series operators of the factor language, one window at a time, in float64: slow, and free of shared code.

`naive(name, x[, y], window, **settings)` takes the series `[T]` of one listed span and returns the operator's values
`[T]`. Missing and infinite values are left out as `alphaloom.language.operators` says.
"""

import math
from collections.abc import Callable

import numpy as np

Window = tuple[np.ndarray, np.ndarray]
"""Known values from old to new, and their ages in rows."""


def naive(name: str, *operands: np.ndarray, window: int, min_periods: int | None = None, **settings) -> np.ndarray:
    """Return an operator's values `[T]`; the operands are in the operator's order."""
    x = [np.asarray(operand, dtype=np.float64) for operand in operands]
    if name in SHIFTS:
        return SHIFTS[name](x[0], window)
    if name in PAIRS:
        return _pair(name, x[0], x[1], window, min_periods or 2, settings)
    if name in {"ts_argmin", "ts_argmax"}:
        return _place(name, x[0], window, min_periods or 1, settings.get("gap", "skip"))
    least = min_periods or LEAST.get(name, 1)
    out = np.full(x[0].size, np.nan)
    for t in range(out.size):
        rows = _ewm_rows(window) if name == "ts_ewm" else window
        ages = np.arange(min(rows, t + 1))[::-1]
        values = x[0][t - ages]
        known = np.isfinite(values)
        if known.sum() < max(least, LEAST.get(name, 1)) or (name in TODAY and not known[-1]):
            continue
        with np.errstate(all="ignore"):
            out[t] = SINGLE[name](values[known], ages[known], window, settings)
    return out


def _delay(x: np.ndarray, d: int) -> np.ndarray:
    return np.concatenate([np.full(min(d, x.size), np.nan), x[: max(x.size - d, 0)]])


def _returns(x: np.ndarray, d: int) -> np.ndarray:
    with np.errstate(all="ignore"):
        return x / _delay(x, d) - 1.0


def _delta(x: np.ndarray, d: int) -> np.ndarray:
    with np.errstate(all="ignore"):
        return x - _delay(x, d)


SHIFTS = {"delay": _delay, "delta": _delta, "returns": _returns}


def _weights(ages: np.ndarray, half_life: float) -> np.ndarray:
    return np.ones(ages.size) if half_life == 0 else 0.5 ** (ages / half_life)


def _variance(x: np.ndarray, ages: np.ndarray, half_life: float) -> float:
    if (x == x[0]).all():
        return 0.0
    w = _weights(ages, half_life)
    mean = (w * x).sum() / w.sum()
    return (w * (x - mean) ** 2).sum() / (w.sum() if half_life else x.size - 1)


def _line(x: np.ndarray, ages: np.ndarray) -> tuple[float, float]:
    row = -ages.astype(float)
    if (x == x[0]).all():
        return 0.0, x[0]
    slope = ((row - row.mean()) * (x - x.mean())).sum() / ((row - row.mean()) ** 2).sum()
    return slope, x.mean() - slope * row.mean()


def _zscore(x: np.ndarray, ages: np.ndarray, d: int, s: dict) -> float:
    std = math.sqrt(_variance(x, ages, 0.0))
    return (x[-1] - x.mean()) / std if std > 0 else np.nan


def _rsquare(x: np.ndarray, ages: np.ndarray, d: int, s: dict) -> float:
    if math.sqrt(_variance(x, ages, 0.0)) <= s.get("min_std", 0.0):
        return np.nan
    slope, _ = _line(x, ages)
    row = -ages.astype(float)
    return slope**2 * ((row - row.mean()) ** 2).sum() / ((x - x.mean()) ** 2).sum()


def _skew(x: np.ndarray, ages: np.ndarray, d: int, s: dict) -> float:
    n, e = x.size, x - x.mean()
    if (x == x[0]).all():
        return np.nan
    return (e**3).mean() / (e**2).mean() ** 1.5 * math.sqrt(n * (n - 1)) / (n - 2)


def _kurt(x: np.ndarray, ages: np.ndarray, d: int, s: dict) -> float:
    n, e = x.size, x - x.mean()
    if (x == x[0]).all():
        return np.nan
    g = (e**4).mean() / (e**2).mean() ** 2 - 3
    return (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g + 6)


def _ewm_rows(span: int) -> int:
    rows = 1
    while (1 - 2 / (span + 1)) ** rows > 2e-8:
        rows *= 2
    return rows


def _ewm(x: np.ndarray, ages: np.ndarray, d: int, s: dict) -> float:
    w = (1 - 2 / (d + 1)) ** ages
    return (w * x).sum() / w.sum()


def _weighted_mean(x: np.ndarray, ages: np.ndarray, d: int, s: dict) -> float:
    w = _weights(ages, s.get("half_life", 0.0))
    return (w * x).sum() / w.sum()


SINGLE: dict[str, Callable[[np.ndarray, np.ndarray, int, dict], float]] = {
    "ts_last": lambda x, ages, d, s: x[-1],
    "ts_sum": lambda x, ages, d, s: x.sum(),
    "ts_mean": _weighted_mean,
    "ts_var": lambda x, ages, d, s: _variance(x, ages, s.get("half_life", 0.0)),
    "ts_std": lambda x, ages, d, s: math.sqrt(_variance(x, ages, s.get("half_life", 0.0))),
    "ts_skew": _skew,
    "ts_kurt": _kurt,
    "ts_min": lambda x, ages, d, s: x.min(),
    "ts_max": lambda x, ages, d, s: x.max(),
    "ts_rank": lambda x, ages, d, s: ((x < x[-1]).sum() + ((x == x[-1]).sum() + 1) / 2) / x.size,
    "ts_quantile": lambda x, ages, d, s: np.quantile(x, s["q"]),
    "ts_median": lambda x, ages, d, s: np.median(x),
    "ts_mad": lambda x, ages, d, s: np.median(np.abs(x - np.median(x))),
    "ts_mean_deviation": lambda x, ages, d, s: np.abs(x - x.mean()).mean(),
    "ts_slope": lambda x, ages, d, s: _line(x, ages)[0],
    "ts_resid": lambda x, ages, d, s: x[-1] - _line(x, ages)[1],
    "ts_rsquare": _rsquare,
    "ts_zscore": _zscore,
    "decay_linear": lambda x, ages, d, s: ((d - ages) * x).sum() / (d - ages).sum(),
    "ts_ewm": _ewm,
    "ts_product": lambda x, ages, d, s: math.prod(x.tolist()),
    "ts_count": lambda x, ages, d, s: x.sum(),
}
LEAST = {
    "ts_var": 2, "ts_std": 2, "ts_skew": 3, "ts_kurt": 4, "ts_slope": 2, "ts_resid": 2, "ts_rsquare": 2, "ts_zscore": 2,
}  # fmt: skip
TODAY = {"ts_rank", "ts_resid", "ts_zscore"}
PAIRS = {"ts_corr", "ts_cov", "ts_beta", "ts_residual", "ts_rsquare_on", "ts_residual_std"}


def _place(name: str, x: np.ndarray, d: int, least: int, gap: str) -> np.ndarray:
    out = np.full(x.size, np.nan)
    for t in range(x.size):
        values = x[max(0, t - d + 1) : t + 1]
        known = np.isfinite(values)
        if known.sum() < least:
            continue
        if gap == "first" and not known.all():
            out[t] = np.argmin(known) + 1
        else:
            extreme = values[known].max() if name == "ts_argmax" else values[known].min()
            out[t] = np.flatnonzero(values == extreme)[0] + 1
    return out


def _pair(name: str, a: np.ndarray, b: np.ndarray, d: int, least: int, s: dict) -> np.ndarray:
    half_life, min_std = s.get("half_life", 0.0), s.get("min_std", 0.0)
    out = np.full(a.size, np.nan)
    for t in range(a.size):
        ages = np.arange(min(d, t + 1))[::-1]
        x, y = a[t - ages], b[t - ages]
        both = np.isfinite(x) & np.isfinite(y)
        if both.sum() < least:
            continue
        if name == "ts_corr" and any(
            math.sqrt(_variance(z[np.isfinite(z)], ages[np.isfinite(z)], half_life)) <= min_std for z in (x, y)
        ):
            continue
        if name == "ts_residual" and not both[-1]:
            continue
        with np.errstate(all="ignore"):
            out[t] = _pair_value(name, x[both], y[both], ages[both], half_life)
    return out


def _pair_value(name: str, a: np.ndarray, b: np.ndarray, ages: np.ndarray, half_life: float) -> float:
    w = _weights(ages, half_life)
    flat_a, flat_b = (a == a[0]).all(), (b == b[0]).all()
    da, db = a - (w * a).sum() / w.sum(), b - (w * b).sum() / w.sum()
    caa, cbb = 0.0 if flat_a else (w * da * da).sum(), 0.0 if flat_b else (w * db * db).sum()
    cab = 0.0 if flat_a or flat_b else (w * da * db).sum()
    if name == "ts_cov":
        return cab / (w.sum() if half_life else a.size - 1)
    if flat_b or (flat_a and name in {"ts_corr", "ts_rsquare_on"}):
        return np.nan
    if name == "ts_corr":
        return cab / math.sqrt(caa * cbb)
    if name == "ts_beta":
        return cab / cbb
    if name == "ts_residual":
        return 0.0 if flat_a else da[-1] - cab / cbb * db[-1]
    if name == "ts_rsquare_on":
        return cab * cab / (caa * cbb)
    return math.sqrt((w * (da - cab / cbb * db) ** 2).sum() / w.sum())

"""How good the factors of a fitted model are: returns, significance, collinearity, stability."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from alphaloom.risk.factor_risk import FactorRisk
from alphaloom.risk.regression import Cells, weights_of
from alphaloom.typing import Doubles

MONTH = 21
"""Days between exposures whose stability is told."""


def factor_table(model: FactorRisk, annual_days: float, *, start: int = 0) -> pl.DataFrame:
    """Return one row a factor of the days from row `start` on.

    `factor`, `kind`, `days` with a return, a year's `return` and `volatility`, `sharpe`, `t` of the mean return, mean
    `abs_t` of the daily regressions, `significant`: share of days with |t| > 2, mean `vif` and `stability` of styles,
    `error`: root mean square standard error over the volatility of the factor's returns, `forecast`: a year's
    volatility foreseen last.
    """
    found = model.regressions
    last = np.sqrt(np.diag(model.factor.values[-1]) * annual_days)
    steady = exposure_stability(model.cells.rows(start, model.dates.size), _styles(model))
    rows = []
    for k, (name, kind) in enumerate(zip(found.factors, found.kinds, strict=True)):
        f, e = found.returns[start:, k], found.errors[start:, k]
        known = np.isfinite(f)
        f, t = f[known], np.abs(f[known] / e[known])
        deviation = float(f.std(ddof=1)) if f.size > 1 else np.nan
        q = k - 1 - found.industries
        mean = float(f.mean()) if f.size else np.nan
        rows.append(
            {
                "factor": name,
                "kind": kind,
                "days": f.size,
                "return": mean * annual_days,
                "volatility": deviation * np.sqrt(annual_days),
                "sharpe": mean / deviation * np.sqrt(annual_days) if deviation > 0 else np.nan,
                "t": mean / deviation * np.sqrt(f.size) if deviation > 0 else np.nan,
                "abs_t": _mean(t),
                "significant": _mean(t > 2),
                "vif": _mean(found.inflation[start:, q]) if q >= 0 else np.nan,
                "stability": _mean(steady[:, q]) if q >= 0 else np.nan,
                "error": float(np.sqrt(np.mean(e[known] ** 2)) / deviation) if deviation > 0 else np.nan,
                "forecast": float(last[k]),
            }
        )
    return pl.DataFrame(rows)


def exposure_stability(cells: Cells, styles: Sequence[str], *, step: int = MONTH) -> Doubles:
    """Return the correlation of each style's exposures with those of `step` rows before `[T // step, Q]`.

    Weighted by the square root of capitalisation over the members that have both; NaN where all are the same.
    Source: USE4 methodology: above 0.9 a style is stable, below 0.8 it is not.
    """
    T = cells.cap.shape[0]
    pairs = [(t - step, t) for t in range(step, T, step)]
    out = np.full((len(pairs), len(styles)), np.nan)
    for k, (before, now) in enumerate(pairs):
        weights = weights_of(cells.rows(now, now + 1))[0]
        for q in range(len(styles)):
            x, y = cells.styles[before, :, q].astype(np.float64), cells.styles[now, :, q].astype(np.float64)
            use = (weights > 0) & np.isfinite(x) & np.isfinite(y)
            out[k, q] = _correlation(x[use], y[use], weights[use])
    return out


def _styles(model: FactorRisk) -> tuple[str, ...]:
    return model.factors[1 + model.regressions.industries :]


def _correlation(x: Doubles, y: Doubles, weights: Doubles) -> float:
    if x.size < 3:
        return float("nan")
    x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    bottom = np.sqrt((weights * x * x).sum() * (weights * y * y).sum())
    return float((weights * x * y).sum() / bottom) if bottom > 0 else float("nan")


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")

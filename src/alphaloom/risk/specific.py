"""Specific risk: what each stock does by itself, as foreseen at the close of each day."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from alphaloom.kernels.constrained_wls import regress
from alphaloom.kernels.specific_risk import own_history, shrink, volatilities
from alphaloom.risk.covariance import Regime
from alphaloom.risk.regression import Cells, weights_of
from alphaloom.spec import Spec
from alphaloom.typing import Bools, Doubles, Floats

FULL = 1.0 - 1e-9
"""Belief in its own history from which on a stock teaches the structural model."""


class SpecificSettings(Spec):
    """How specific returns become specific risk; half-lives and lags in trading days."""

    volatility_half_life: Annotated[float, Field(gt=0)] = 252
    """Half-life of variances."""
    lags: Annotated[int, Field(ge=0)] = 5
    """Newey-West lags; 0 for none."""
    autocorrelation_half_life: Annotated[float, Field(gt=0)] = 252
    """Half-life of the autocorrelations of the Newey-West correction."""
    structural: bool = True
    """Whether stocks with a short or wild history take, in part, the risk that stocks like them have."""
    window: Annotated[int, Field(ge=20)] = 360
    """Days in which the length and the tails of a history are looked at."""
    few: Annotated[int, Field(ge=1)] = 60
    """Returns up to which a history is not believed at all."""
    enough: Annotated[int, Field(ge=2)] = 180
    """Returns from which on it is long enough."""
    look_every: Annotated[int, Field(ge=1)] = 21
    """Days after which length and tails are looked at anew."""
    shrinkage: Annotated[float, Field(ge=0)] = 0.1
    """Strength q of the shrinkage to the mean of the size group; 0 for none."""
    size_groups: Annotated[int, Field(ge=1)] = 10
    """Groups of equal number by capitalisation."""
    regime_half_life: Annotated[float, Field(gt=0)] | None = 168
    """Half-life of the volatility regime adjustment; null for none."""


@dataclass(frozen=True, eq=False)
class SpecificRisk:
    """Forecasts of T days: row t from specific returns up to day t, for the days after it."""

    volatility: Floats
    """Daily specific volatility `[T, N]`, a fraction; NaN for stocks that cannot be told."""
    own: Floats
    """Belief in the stock's own history `[T, N]`, 0 to 1; the rest is the structural model's."""
    multiplier: Doubles
    """Regime multiplier in it `[T]`."""
    bias: Doubles
    """Cap-weighted root mean square of the day's specific returns over the volatilities foreseen the day before,
    without the multiplier `[T]`."""


def specific_risk(specific: Floats, cells: Cells, industries: int, settings: SpecificSettings) -> SpecificRisk:
    """Return the risk foreseen in specific returns `[T, N]`.

    1. Own history: EWMA of squared returns times a Newey-West ratio.
    2. Structural model: the log of (1) regressed each day on the exposures of the day, over the members whose history
       is fully believed, E0 exp(X b), with E0 so that the two agree in the weighted mean. A stock has
       gamma x (1) + (1 - gamma) x (2), gamma by the length and the tails of its history.
    3. Shrinkage to the cap-weighted mean of the stock's size group.
    4. Volatility regime: cap-weighted over members.

    Covered are stocks with known industry and styles; where the structural model cannot be fitted, those with a history
    that is fully believed. Knowable at the row's close. Means are taken as 0.

    Source: USE4 methodology, chapter 5. Differs: E0 is computed, not set; sums over all of the past, not a window.
    """
    T, N = specific.shape
    sigma = np.empty((T, N))
    count = np.empty((T, N), np.int64)
    keep = (0.5 ** (1.0 / settings.volatility_half_life), 0.5 ** (1.0 / settings.autocorrelation_half_life))
    volatilities(specific, *keep, settings.lags, sigma, count)
    gamma = np.ones((T, N))
    if settings.structural:
        own_history(specific, settings.window, settings.few, settings.enough, settings.look_every, gamma)
        sigma = _blended(sigma, gamma, cells, industries)
    sigma = np.where(covered(cells, industries), sigma, np.nan)
    cap = np.where(cells.cap > 0, cells.cap, 0.0)
    members = cells.members & (cap > 0)
    if settings.shrinkage > 0:
        drawn = np.empty((T, N))
        shrink(sigma, cap, members, settings.size_groups, settings.shrinkage, drawn)
        sigma = drawn
    multiplier, bias = _regime(specific, sigma, np.where(members, cap, 0.0), settings.regime_half_life)
    return SpecificRisk((sigma * multiplier[:, None]).astype(np.float32), gamma.astype(np.float32), multiplier, bias)


def covered(cells: Cells, industries: int) -> Bools:
    """Return where exposures are known `[T, N]`: the styles, and the industry in a model with industries."""
    known: Bools = np.asarray(np.isfinite(cells.styles).all(axis=2))
    return known if industries == 0 else known & (cells.industry >= 0)


def _blended(own: Doubles, gamma: Doubles, cells: Cells, industries: int) -> Doubles:
    """Return `gamma x own + (1 - gamma) x structural` `[T, N]`."""
    T, N = own.shape
    Q = cells.styles.shape[2]
    K = 1 + industries + Q
    weights = weights_of(cells)
    teaches = (gamma >= FULL) & (own > 0) & (weights > 0)
    y = np.log(np.where(teaches, own, np.nan))
    b, scrap = np.full((T, K), np.nan), np.full((T, K), np.nan)
    residual = np.full((T, N), np.nan, np.float32)
    cap = np.where(teaches, cells.cap, 0.0)
    industry = np.ascontiguousarray(cells.industry)
    regress(
        y, cells.styles, industry, weights, cap, industries, 1, 0.0,
        b, scrap, residual, np.empty((T, Q)), np.empty((T, 2)), np.empty((T, industries), np.int64),
        np.empty((0, 0, 0)),
    )  # fmt: skip
    out = np.where(gamma >= FULL, own, np.nan)
    inside = covered(cells, industries)
    for t in np.flatnonzero(np.isfinite(b[:, 0])).tolist():
        told: Bools = np.asarray(inside[t])
        known = np.nan_to_num(b[t])  # an industry or style that taught nothing has the market's level
        fitted = np.full(N, np.nan)
        fitted[told] = known[0] + cells.styles[t, told].astype(np.float64) @ known[1 + industries :]
        if industries:
            fitted[told] += known[1 + industry[t, told]]
        structural = np.exp(fitted)
        taught = teaches[t] & told
        level = (weights[t, taught] @ own[t, taught]) / (weights[t, taught] @ structural[taught])
        out[t] = gamma[t] * np.nan_to_num(own[t]) + (1.0 - gamma[t]) * level * structural
    return out


def _regime(specific: Floats, sigma: Doubles, cap: Doubles, half_life: float | None) -> tuple[Doubles, Doubles]:
    """Return the multiplier foreseen at each row, and the day's cross-sectional bias statistic."""
    T = sigma.shape[0]
    regime = Regime(half_life)
    multiplier, bias = np.ones(T), np.full(T, np.nan)
    for t in range(1, T):
        bias[t] = regime.add(specific[t].astype(np.float64), sigma[t - 1], cap[t - 1])
        multiplier[t] = regime.multiplier
    return multiplier, bias

"""Covariance of factor returns, as foreseen at the close of each day."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from alphaloom.risk.eigenfactor import adjusted, eigen_bias
from alphaloom.risk.moments import Moments, Noise, complete, joined, positive, without_noise
from alphaloom.spec import Spec
from alphaloom.typing import Bools, Doubles

Progress = Callable[[int, int], None]
"""Called with the number of days done and their total."""
MEMORY = 4.0
"""Half-lives of correlation after which a day no longer counts in the simulated histories."""


class CovarianceSettings(Spec):
    """How factor returns become a covariance; half-lives and lags in trading days."""

    volatility_half_life: Annotated[float, Field(gt=0)] = 252
    """Half-life of variances."""
    volatility_lags: Annotated[int, Field(ge=0)] = 5
    """Newey-West lags of variances; 0 for none."""
    correlation_half_life: Annotated[float, Field(gt=0)] = 504
    """Half-life of correlations."""
    correlation_lags: Annotated[int, Field(ge=0)] = 2
    """Newey-West lags of correlations."""
    eigen_scale: Annotated[float, Field(ge=0)] = 1.0
    """Strength a of the eigenfactor adjustment: 1 as simulated, 0 for none."""
    simulations: Annotated[int, Field(ge=1)] = 100
    """Histories drawn for the eigenfactor adjustment."""
    simulate_every: Annotated[int, Field(ge=1)] = 63
    """Days after which they are drawn anew; in between the adjustment found last is used."""
    regime_half_life: Annotated[float, Field(gt=0)] | None = 168
    """Half-life of the volatility regime adjustment; null for none."""
    noise_correction: bool = True
    """Whether the variance that factor returns owe to their own errors is taken off. It is that of specific returns,
    which the forecast counts already. Not part of the published models; it matters where stocks are few."""
    least: Annotated[int, Field(ge=20)] = 126
    """Days of returns that a factor needs before a forecast holds it."""


@dataclass(frozen=True, eq=False)
class FactorCovariance:
    """Forecasts of T days: row t from factor returns up to day t, for the days after it."""

    values: Doubles
    """Daily covariance `[T, K, K]`; NaN in rows and columns of factors with too few returns."""
    multiplier: Doubles
    """Regime multiplier of volatility in it `[T]`, 1 without the adjustment."""
    bias: Doubles
    """Cross-sectional bias statistic `[T]`: root mean square of the day's factor returns over the volatilities foreseen
    the day before, without the regime multiplier."""


def factor_covariance(
    returns: Doubles, settings: CovarianceSettings, *, noise: Doubles | None = None, progress: Progress | None = None
) -> FactorCovariance:
    """Return the covariance of factor returns `[T, K]` as foreseen each day.

    Variances and correlations have half-lives and Newey-West lags of their own. The eigenfactor adjustment corrects
    the variances of eigenfactors by simulation. The regime adjustment multiplies all by
    lambda^2 = EWMA of B_t^2, B_t^2 = mean_k (f_kt / sigma_kt)^2. With the covariance of each day's errors in `noise`
    `[T, K, K]`, their mean is taken off at last (setting `noise_correction`). Knowable at the row's close; means are
    taken as 0.

    Source: USE4 methodology, sections 4.1 to 4.4. Differs: sums over all of the past instead of a window; means of 0;
    the correction for noise.
    """
    T, K = returns.shape
    corrects = settings.noise_correction and noise is not None
    errors = Noise(K, settings.volatility_half_life)
    volatility = Moments(K, settings.volatility_half_life, settings.volatility_lags, products=False)
    correlation = Moments(K, settings.correlation_half_life, settings.correlation_lags, products=True)
    regime = Regime(settings.regime_half_life)
    out = FactorCovariance(np.full((T, K, K), np.nan), np.ones(T), np.full(T, np.nan))
    eigen = _Eigen(settings)
    days = np.zeros(K, np.int64)
    foreseen = np.full(K, np.nan)
    for t in range(T):
        f = returns[t]
        if np.isfinite(f).any():
            days += np.isfinite(f)
            out.bias[t] = regime.add(f, foreseen)
            volatility.add(f)
            correlation.add(f)
            if noise is not None:
                errors.add(noise[t], np.isfinite(f))
        ready = days >= settings.least
        if ready.any():
            known = np.ix_(ready, ready)
            plain = joined(volatility.corrected()[ready], correlation.corrected()[known])
            values = eigen.adjust(plain, ready, int(days[ready].max()))
            foreseen = np.full(K, np.nan)
            foreseen[ready] = np.sqrt(np.diag(values))
            if corrects:
                values = without_noise(values, errors.mean()[known])
            out.multiplier[t] = regime.multiplier
            out.values[t] = complete(values * regime.multiplier**2, ready, K)
        if progress is not None:
            progress(t + 1, T)
    return out


class Regime:
    """Volatility regime: the EWMA of squared standardised returns, over units and days."""

    def __init__(self, half_life: float | None) -> None:
        self._half_life = half_life
        self._sum = self._weight = 0.0

    def add(self, values: Doubles, foreseen: Doubles, weights: Doubles | None = None) -> float:
        """Take in a day's returns against the volatilities foreseen for it; return their root mean square.

        Units without either do not count; a day on which none has both leaves all as it was and returns NaN.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            squares = (values / foreseen) ** 2
        use = np.isfinite(squares)
        share = np.where(use, 1.0 if weights is None else weights, 0.0)
        if not share.sum() > 0:
            return float("nan")
        mean = float((share * np.where(use, squares, 0.0)).sum() / share.sum())
        if self._half_life is not None:
            keep = 0.5 ** (1.0 / self._half_life)
            self._sum = keep * self._sum + mean
            self._weight = keep * self._weight + 1.0
        return float(np.sqrt(mean))

    @property
    def multiplier(self) -> float:
        """By what volatilities are to be multiplied; 1 before anything was seen."""
        return float(np.sqrt(self._sum / self._weight)) if self._weight else 1.0


class _Eigen:
    """The eigenfactor adjustment, with its bias simulated now and then."""

    def __init__(self, settings: CovarianceSettings) -> None:
        self._settings = settings
        self._bias = np.empty(0)
        self._ready = np.empty(0, np.bool_)
        self._age = 0

    def adjust(self, covariance: Doubles, ready: Bools, days: int) -> Doubles:
        """Return the covariance after the adjustment; positive semi-definite."""
        settings = self._settings
        if settings.eigen_scale == 0:
            values, vectors = positive(covariance)
            return np.asarray((vectors * values) @ vectors.T)
        if not np.array_equal(ready, self._ready) or self._age >= settings.simulate_every:
            self._bias = eigen_bias(
                covariance,
                min(days, int(MEMORY * settings.correlation_half_life)),
                (settings.volatility_half_life, settings.correlation_half_life),
                (settings.volatility_lags, settings.correlation_lags),
                simulations=settings.simulations,
            )
            self._ready, self._age = ready.copy(), 0
        self._age += 1
        return adjusted(covariance, self._bias, settings.eigen_scale)

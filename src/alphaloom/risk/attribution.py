"""Where a portfolio's return and risk come from: country, industries, styles, and the stocks themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from alphaloom.errors import AlignmentError, DataError
from alphaloom.risk.factor_risk import FactorRisk
from alphaloom.risk.forecast import RiskForecast
from alphaloom.typing import Doubles, Ints

SPECIFIC, UNCOVERED = "specific", "not covered"


@dataclass(frozen=True, eq=False)
class ReturnAttribution:
    """Daily contributions to a portfolio's return; D days, S sources: K factors, `specific` and `not covered`."""

    rows: Ints
    """Rows of the days `[D]`."""
    sources: tuple[str, ...]
    kinds: tuple[str, ...]
    """`country`, `industry`, `style`, `specific` or `not covered`, of each source."""
    exposures: Doubles
    """At the close before `[D, S]`; the weight for `specific` and `not covered`."""
    contributions: Doubles
    """Fractions `[D, S]`; each row sums to the day's return."""
    returns: Doubles
    """Return of the portfolio, or of the portfolio less the benchmark `[D]`."""
    benchmark: Doubles
    """Return of the benchmark `[D]`, 0 without one."""

    def linked(self) -> Doubles:
        """Return the contributions to the return of the whole span `[S]`.

        They sum to the compounded return, or with a benchmark to the difference of the two. Source: Carino (1999).
        """
        return carino(self.contributions, self.returns + self.benchmark, self.benchmark)

    def table(self, annual_days: float) -> pl.DataFrame:
        """Return one row a source: `source`, `kind`, mean `exposure`, linked `contribution`, a year's `mean` and
        `volatility` of the daily ones, and `t` of their mean.
        """
        mean, deviation = self.contributions.mean(axis=0), self.contributions.std(axis=0, ddof=1)
        D = self.rows.size
        with np.errstate(divide="ignore", invalid="ignore"):
            t = mean / deviation * np.sqrt(D)
        return pl.DataFrame(
            {
                "source": self.sources,
                "kind": self.kinds,
                "exposure": self.exposures.mean(axis=0),
                "contribution": self.linked(),
                "mean": mean * annual_days,
                "volatility": deviation * np.sqrt(annual_days),
                "t": np.where(deviation > 0, t, np.nan),
            }
        )

    def daily(self, dates: np.ndarray) -> pl.DataFrame:
        """Return `date`, `source`, `kind`, `exposure`, `contribution`; dates `[T]` are those of the model."""
        D, S = self.contributions.shape
        return pl.DataFrame(
            {
                "date": pl.Series(np.repeat(dates[self.rows], S)).cast(pl.Date),
                "source": list(self.sources) * D,
                "kind": list(self.kinds) * D,
                "exposure": self.exposures.ravel(),
                "contribution": self.contributions.ravel(),
            }
        )


def attribute_returns(
    model: FactorRisk, held: Doubles, returns: Doubles, benchmark: Doubles | None = None
) -> ReturnAttribution:
    """Return the attribution of every day t with weights at the close of t - 1 and factor returns.

    Factor k contributes (X_{t-1} w_{t-1})_k f_kt; the rest of what the covered stocks earn is specific, whatever the
    others earn is `not covered`: the sum is w_{t-1} times the day's returns. A factor return that is missing counts as
    0, its part is then specific.

    Args:
        model: exposures and factor returns.
        held: weights at each close `[T, N]`, NaN rows where there is no portfolio (`held_weights`).
        returns: what holders earn `[T, N]` (`holding_returns`).
        benchmark: weights at each close `[T, N]`; active weights are then attributed.

    Raises:
        AlignmentError: shapes differ.
        DataError: no day has both weights and factor returns.
    """
    shape = model.cells.cap.shape
    for what, array in (("held weights", held), ("returns", returns), ("benchmark weights", benchmark)):
        if array is not None and array.shape != shape:
            raise AlignmentError(f"The {what} are {array.shape}; this risk model needs {shape}.")
    there = np.isfinite(held[:-1]).any(axis=1) & np.isfinite(model.regressions.returns[1:, 0])
    if benchmark is not None:
        there &= np.isfinite(benchmark[:-1]).any(axis=1)
    rows = np.flatnonzero(there) + 1
    if not rows.size:
        raise DataError("No day has weights at the close before it and factor returns: the two spans do not meet.")
    K = len(model.factors)
    exposures, contributions = np.empty((rows.size, K + 2)), np.empty((rows.size, K + 2))
    total, base = np.empty(rows.size), np.zeros(rows.size)
    for d, t in enumerate(rows.tolist()):
        weights = np.nan_to_num(held[t - 1])
        if benchmark is not None:
            base[d] = np.nan_to_num(benchmark[t - 1]) @ returns[t]
            weights = weights - np.nan_to_num(benchmark[t - 1])
        X, covered = model.exposures(t - 1)
        f = np.nan_to_num(model.regressions.returns[t])
        earned = weights * returns[t]
        exposures[d, :K] = X @ weights
        exposures[d, K:] = weights[covered].sum(), weights[~covered].sum()
        contributions[d, :K] = exposures[d, :K] * f
        contributions[d, K:] = earned[covered].sum() - contributions[d, :K].sum(), earned[~covered].sum()
        total[d] = earned.sum()
    return ReturnAttribution(
        rows,
        (*model.factors, SPECIFIC, UNCOVERED),
        (*model.regressions.kinds, SPECIFIC, UNCOVERED),
        exposures,
        contributions,
        total,
        base,
    )


def carino(contributions: Doubles, returns: Doubles, benchmark: Doubles) -> Doubles:
    """Return contributions `[S]` to a span's return from daily ones `[D, S]` that sum to `returns - benchmark`.

    c = sum_d c_d k_d / k, k_d = (ln(1 + r_d) - ln(1 + b_d)) / (r_d - b_d), and k the same of the compounded returns.

    Source: Carino (1999), *Combining attribution effects over time*.
    """
    k = _smoothing(returns, benchmark)
    whole = _smoothing(float(np.prod(1.0 + returns)) - 1.0, float(np.prod(1.0 + benchmark)) - 1.0)
    return np.asarray(k @ contributions / whole)


def _smoothing(returns: Doubles | float, benchmark: Doubles | float) -> Doubles:
    r, b = np.asarray(returns, dtype=np.float64), np.asarray(benchmark, dtype=np.float64)
    apart = np.abs(r - b) > 1e-12
    difference = np.where(apart, r - b, 1.0)
    return np.where(apart, (np.log1p(r) - np.log1p(b)) / difference, 1.0 / (1.0 + r))


@dataclass(frozen=True, eq=False)
class RiskAttribution:
    """Sources of the risk foreseen of one portfolio; daily figures."""

    volatility: float
    """Square root of the variance foreseen."""
    uncovered: float
    """Sum of the absolute weights of stocks that the model does not cover; they have no part in the rest."""
    sources: pl.DataFrame
    """`source`, `kind`, `exposure` x, `volatility` sigma, `correlation` rho with the portfolio, `contribution`
    x sigma rho to volatility, `variance` contributed, `share` of the variance. Specific risk is one source."""
    stocks: pl.DataFrame
    """`stock` (its place), `weight`, `marginal` (change of volatility by weight), `contribution` to volatility."""


def attribute_risk(forecast: RiskForecast, weights: Doubles, kinds: Sequence[str]) -> RiskAttribution:
    """Return where the risk foreseen of weights `[N]` comes from; active weights give tracking error.

    x-sigma-rho: volatility is the sum over sources of exposure times the source's volatility times its correlation with
    the portfolio. Euler: it is also the sum over stocks of weight times marginal contribution, V w / sigma.

    Args:
        forecast: the risk model's.
        weights: fractions, finite.
        kinds: kind of each of the forecast's factors.

    Raises:
        DataError: no covered stock has a weight.
    """
    covered = np.isfinite(forecast.specific)
    w = np.where(covered, weights, 0.0)
    if not w.any():
        raise DataError(f"The risk model covers no stock of the portfolio on {forecast.date}.")
    x = forecast.exposures @ w
    common = forecast.covariance @ x
    own = np.where(covered, forecast.specific, 0.0) * w
    variance = float(x @ common + own @ w)
    sigma = np.sqrt(variance)
    deviations = np.sqrt(np.diag(forecast.covariance))
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = np.where(deviations > 0, common / (deviations * sigma), 0.0)
    specific = float(own @ w)
    sources = pl.DataFrame(
        {
            "source": [*forecast.factors, SPECIFIC],
            "kind": [*kinds, SPECIFIC],
            "exposure": np.append(x, 1.0),
            "volatility": np.append(deviations, np.sqrt(specific)),
            "correlation": np.append(rho, np.sqrt(specific) / sigma),
            "contribution": np.append(x * common, specific) / sigma,
            "variance": np.append(x * common, specific),
            "share": np.append(x * common, specific) / variance,
        }
    )
    marginal = (forecast.exposures.T @ common + own) / sigma
    held = np.flatnonzero(w)
    stocks = pl.DataFrame(
        {
            "stock": held,
            "weight": w[held],
            "marginal": marginal[held],
            "contribution": w[held] * marginal[held],
        }
    )
    return RiskAttribution(float(sigma), float(np.abs(weights[~covered]).sum()), sources, stocks)

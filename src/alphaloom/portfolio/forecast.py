"""The forecast of the variance as the optimiser uses it: complete, and factored."""

from dataclasses import replace

import numpy as np

from alphaloom.errors import DataError
from alphaloom.portfolio.base import Decision
from alphaloom.risk.forecast import RiskForecast
from alphaloom.typing import Bools, Doubles

SYMMETRIC = 1e-8
"""Largest difference between a covariance and its transpose, as a share of its largest entry."""
SPECK = 1e-12
"""Eigenvalues of a covariance below minus this share of the largest are no rounding."""


def uncovered(decision: Decision) -> Bools:
    """Return the stocks `[N]` that the forecast does not cover; none without a forecast."""
    if decision.risk is None:
        return np.zeros(decision.score.size, dtype=np.bool_)
    return np.isnan(decision.risk.specific)


def covered_forecast(decision: Decision) -> RiskForecast:
    """Return the forecast with the largest specific variance of the date for stocks that it does not cover.

    Raises:
        DataError: there is no forecast, or it covers no stock.
    """
    risk = decision.risk
    if risk is None:
        raise DataError(
            f"The decision of {decision.date} needs a forecast of the variance; none was given. Choose a risk model, "
            "or leave out risk aversion, tracking error and alpha by volatility."
        )
    absent = np.isnan(risk.specific)
    if absent.all():
        raise DataError(f"The risk forecast of {decision.date} covers none of its {absent.size} stocks.")
    if not absent.any():
        return risk
    return replace(risk, specific=np.where(absent, risk.specific[~absent].max(), risk.specific))


def covariance_root(risk: RiskForecast) -> Doubles:
    """Return `[K, r]` whose product with its transpose is the factors' covariance; r is its rank.

    Raises:
        DataError: the covariance is not finite, not symmetric or not positive semi-definite.
    """
    covariance = risk.covariance
    largest = np.abs(covariance).max(initial=0.0)
    if not np.isfinite(largest) or (np.abs(covariance - covariance.T) > SYMMETRIC * largest).any():
        raise DataError(f"The factors' covariance of {risk.date} is not finite and symmetric.")
    try:
        root: Doubles = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    except np.linalg.LinAlgError:
        return _singular_root(risk)
    return root


def _singular_root(risk: RiskForecast) -> Doubles:
    values, vectors = np.linalg.eigh(risk.covariance)
    top = float(values[-1])
    if values[0] < -SPECK * max(top, 0.0) * values.size - 1e-18:
        raise DataError(
            f"The factors' covariance of {risk.date} is not positive semi-definite: its eigenvalues run from "
            f"{values[0]:.3g} to {top:.3g}."
        )
    used = values > SPECK * top
    return np.asarray(vectors[:, used] * np.sqrt(values[used]), dtype=np.float64)

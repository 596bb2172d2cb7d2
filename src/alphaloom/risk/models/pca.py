"""Statistical factor model: principal components of past returns."""

from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from alphaloom.errors import DataError
from alphaloom.panel import Panel
from alphaloom.risk.estimator import Progress, RiskEstimator, risk_models
from alphaloom.risk.forecast import RiskForecast
from alphaloom.risk.trailing import FIELDS, TrailingReturns


@risk_models.register("pca")
class Pca(RiskEstimator):
    """The first components of the last `window` days' returns are the factors, the rest of each stock is specific.

    R = U S V' of the returns `[window, n]`, a day s days old weighted by 0.5^(s / half_life): exposures V, covariance
    the first K of S^2, specific variances what is left of each stock's, times window / (window - K). Means are taken as
    0. Covered are listed stocks that traded on `least_share` of the window's days.

    Source: Connor and Korajczyk (1988), asymptotic principal components.
    """

    factors: Annotated[int, Field(ge=1)] = 20
    """Components."""
    window: Annotated[int, Field(ge=20)] = 504
    """Days of returns."""
    half_life: Annotated[float, Field(gt=0)] = 252
    """Half-life of the days' weights."""
    least_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Least share of the window's days on which a stock traded."""

    @model_validator(mode="after")
    def _few_factors(self) -> Self:
        if self.factors >= self.window:
            raise ValueError(
                f"factors is {self.factors}; a window of {self.window} days has fewer components than that"
            )
        return self

    @property
    def required(self) -> tuple[str, ...]:
        """Prices, and where a stock is listed."""
        return FIELDS

    def fit(self, panel: Panel, progress: Progress | None = None) -> "FittedPca":
        """Return the model; each forecast is computed when it is asked for."""
        return FittedPca(self, TrailingReturns.of(panel))


@dataclass(frozen=True, eq=False)
class FittedPca:
    """The settings and the market's returns; a forecast reads the window that ends at its row."""

    settings: Pca
    past: TrailingReturns

    def forecast(self, row: int) -> RiskForecast:
        """Return what is known at the close of a row.

        Raises:
            DataError: fewer rows than the window, or too few stocks with enough of them.
        """
        settings, K = self.settings, self.settings.factors
        returns, covered = self.past.window(row, settings.window, settings.least_share)
        date, N = self.past.dates[row], covered.size
        if returns.shape[1] <= K:
            raise DataError(f"{returns.shape[1]} stocks have enough returns at {date}; {K} factors need more.")
        weights = 0.5 ** (np.arange(settings.window - 1, -1, -1) / settings.half_life)
        R = returns * np.sqrt(weights / weights.sum())[:, None]
        values, vectors = np.linalg.eigh(R @ R.T)
        strongest = np.maximum(values[::-1][:K], 0.0)
        exposures = np.zeros((K, N))
        exposures[:, covered] = vectors[:, ::-1][:, :K].T @ R / np.sqrt(np.maximum(strongest, 1e-300))[:, None]
        left = (R**2).sum(axis=0) - strongest @ exposures[:, covered] ** 2
        specific = np.full(N, np.nan)
        specific[covered] = np.maximum(left, 0.0) * settings.window / (settings.window - K)
        names = tuple(f"component {k + 1}" for k in range(K))
        return RiskForecast(date, names, exposures, np.diag(strongest), specific)

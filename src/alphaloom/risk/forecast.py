"""What a risk model says of one date: the variance of any portfolio, in factor form."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from alphaloom.typing import Doubles


@dataclass(frozen=True, eq=False)
class RiskForecast:
    """Forecast of the daily return's variance: `exposures' covariance exposures + diag(specific)`.

    Knowable at the close of `date`; for the days after it. Variances are of daily returns, as fractions squared.
    """

    date: np.datetime64
    factors: tuple[str, ...]
    """Names of the K factors."""
    exposures: Doubles
    """`[K, N]`, finite; 0 for stocks that the model does not cover."""
    covariance: Doubles
    """`[K, K]`, symmetric and positive semi-definite."""
    specific: Doubles
    """`[N]`, variance that no factor explains; NaN for stocks that the model does not cover."""

    def variance(self, weights: Doubles) -> float:
        """Return the forecast variance of a day's return of weights `[N]`; active weights give tracking variance.

        NaN when a stock with a weight is not covered.
        """
        held = weights != 0
        loads = self.exposures @ weights
        return float(loads @ self.covariance @ loads + (self.specific[held] * weights[held] ** 2).sum())


class RiskModel(Protocol):
    """A source of forecasts, one a date."""

    def forecast(self, row: int) -> RiskForecast:
        """Return what is known at the close of a panel's row.

        Raises:
            DataError: too little history before that row.
        """
        ...

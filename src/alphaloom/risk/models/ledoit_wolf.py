"""Sample covariance shrunk towards equal variances, by scikit-learn's Ledoit and Wolf."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from alphaloom.errors import MissingLibraryError
from alphaloom.panel import Panel
from alphaloom.risk.estimator import Progress, RiskEstimator, risk_models
from alphaloom.risk.forecast import RiskForecast
from alphaloom.risk.trailing import FIELDS, TrailingReturns


@risk_models.register("ledoit_wolf")
class LedoitWolf(RiskEstimator):
    """(1 - d) S + d m I, S the sample covariance of the last `window` days, m its mean variance, d by Ledoit and Wolf.

    In factor form the days are the factors: exposures are the returns over sqrt(window), their covariance is
    (1 - d) I, and each stock has the specific variance d m. Means are taken as 0. Covered are listed stocks that traded
    on `least_share` of the window's days. Needs scikit-learn.

    Source: Ledoit and Wolf (2004), *A well-conditioned estimator for large-dimensional covariance matrices*.
    """

    window: Annotated[int, Field(ge=20)] = 252
    """Days of returns."""
    least_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Least share of the window's days on which a stock traded."""

    @property
    def required(self) -> tuple[str, ...]:
        """Prices, and where a stock is listed."""
        return FIELDS

    def fit(self, panel: Panel, progress: Progress | None = None) -> "FittedLedoitWolf":
        """Return the model; each forecast is computed when it is asked for.

        Raises:
            MissingLibraryError: scikit-learn is not installed.
        """
        try:
            import sklearn.covariance  # noqa: F401 - fails here rather than at the first forecast
        except ImportError:
            raise MissingLibraryError(
                "The risk model 'ledoit_wolf' needs scikit-learn: pip install 'alphaloom[risk]'."
            ) from None
        return FittedLedoitWolf(self, TrailingReturns.of(panel))


@dataclass(frozen=True, eq=False)
class FittedLedoitWolf:
    """The settings and the market's returns; a forecast reads the window that ends at its row."""

    settings: LedoitWolf
    past: TrailingReturns

    def forecast(self, row: int) -> RiskForecast:
        """Return what is known at the close of a row.

        Raises:
            DataError: fewer rows than the window, or no stock with enough of them.
        """
        from sklearn.covariance import ledoit_wolf_shrinkage

        window = self.settings.window
        returns, covered = self.past.window(row, window, self.settings.least_share)
        shrinkage = float(ledoit_wolf_shrinkage(returns, assume_centered=True))
        exposures = np.zeros((window, covered.size))
        exposures[:, covered] = returns / np.sqrt(window)
        specific = np.full(covered.size, np.nan)
        specific[covered] = shrinkage * float((returns**2).mean())
        names = tuple(str(day) for day in self.past.dates[row - window + 1 : row + 1])
        return RiskForecast(self.past.dates[row], names, exposures, (1.0 - shrinkage) * np.eye(window), specific)

"""Residual volatility: what a stock fluctuates beyond its beta."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from alphaloom.panel import Panel
from alphaloom.risk.base import Style, styles
from alphaloom.risk.decay import cumulative_range, daily_returns, decayed_moments, decayed_regression, market_return
from alphaloom.typing import Floats

MONTH = 21
MONTHS = 12


@styles.register("residual_volatility")
class ResidualVolatility(Style):
    """0.74 DASTD + 0.16 CMRA + 0.10 HSIGMA, orthogonal to beta.

    DASTD: weighted standard deviation of daily returns, 252 days, half-life 42. CMRA: largest less smallest log return
    over the last 1 to 12 months of 21 days. HSIGMA: weighted standard deviation of the residuals of beta's regression,
    252 days, half-life 63. The risk-free rate is taken as 0. Source: CNE5 descriptor details, 2013.
    """

    weights: ClassVar[Mapping[str, float]] = {"dastd": 0.74, "cmra": 0.16, "hsigma": 0.10}
    orthogonal_to: ClassVar[tuple[str, ...]] = ("beta",)

    window: Annotated[int, Field(ge=20)] = 252
    """Rows of the standard deviations."""
    half_life: Annotated[float, Field(gt=0)] = 42
    """Half-life of DASTD, rows."""
    residual_half_life: Annotated[float, Field(gt=0)] = 63
    """Half-life of HSIGMA, rows."""
    least: Annotated[int, Field(ge=2)] = 126
    """Fewest observations of DASTD and HSIGMA; CMRA needs a price 252 rows ago."""
    market: Literal["cap", "equal"] = "cap"
    """Weights of the market return."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Panel fields it reads."""
        return ("adj_close", "log_cap")

    @property
    def lookback(self) -> int:
        """The longest window and the return before it."""
        return max(self.window + 1, MONTH * MONTHS)

    def descriptors(self, panel: Panel, known: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return `dastd`, `cmra` and `hsigma`."""
        returns = daily_returns(panel)
        cap = np.exp(panel["log_cap"]) if self.market == "cap" else None
        market = market_return(returns, panel.universe, cap)
        return {
            "dastd": decayed_moments(returns, self.window, self.half_life, self.least)[1],
            "cmra": cumulative_range(np.ascontiguousarray(panel["adj_close"]), MONTH, MONTHS),
            "hsigma": decayed_regression(returns, market, self.window, self.residual_half_life, self.least)[1],
        }

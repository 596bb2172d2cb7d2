"""Beta: slope of a stock's return on the market's."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from alphaloom.panel import Panel
from alphaloom.risk.base import Style, styles
from alphaloom.risk.decay import daily_returns, decayed_regression, market_return
from alphaloom.typing import Floats


@styles.register("beta")
class Beta(Style):
    """BETA, the slope of daily returns on the market's over 252 days with half-life 63.

    The market is the universe of the day before, by that day's capitalisation. The risk-free rate is taken as 0. Days
    on which the stock did not trade are left out; the first day after counts the whole return since the last.
    Source: CNE5 descriptor details, 2013.
    """

    weights: ClassVar[Mapping[str, float]] = {"beta": 1.0}

    window: Annotated[int, Field(ge=20)] = 252
    """Rows of the regression."""
    half_life: Annotated[float, Field(gt=0)] = 63
    """Rows after which an observation's weight has halved."""
    least: Annotated[int, Field(ge=2)] = 126
    """Fewest observations."""
    market: Literal["cap", "equal"] = "cap"
    """Weights of the market return."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Panel fields it reads."""
        return ("adj_close", "log_cap")

    @property
    def lookback(self) -> int:
        """The window and the return before it."""
        return self.window + 1

    def descriptors(self, panel: Panel, known: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return `beta`."""
        returns = daily_returns(panel)
        cap = np.exp(panel["log_cap"]) if self.market == "cap" else None
        market = market_return(returns, panel.universe, cap)
        return {"beta": decayed_regression(returns, market, self.window, self.half_life, self.least)[0]}

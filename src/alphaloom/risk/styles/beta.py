"""Beta: slope of a stock's return on the market's."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from alphaloom.features.cne5 import Market, beta
from alphaloom.risk.base import WrittenStyle, styles


@styles.register("beta")
class Beta(WrittenStyle):
    """BETA, the slope of daily returns on the market's over 252 days with half-life 63.

    The market is the universe, by the capitalisation of the day before. The risk-free rate is taken as 0. Days on
    which the stock did not trade are left out; the first day after counts the whole return since the last.
    Source: CNE5 descriptor details, 2013.
    """

    weights: ClassVar[Mapping[str, float]] = {"beta": 1.0}

    window: Annotated[int, Field(ge=20)] = 252
    """Rows of the regression."""
    half_life: Annotated[float, Field(gt=0)] = 63
    """Rows after which an observation's weight has halved."""
    least: Annotated[int, Field(ge=2)] = 126
    """Fewest observations."""
    market: Market = "cap"
    """Weights of the market return."""

    def expressions(self) -> dict[str, str]:
        """Return `beta`."""
        return {"beta": beta(self.window, self.half_life, self.least, self.market)}

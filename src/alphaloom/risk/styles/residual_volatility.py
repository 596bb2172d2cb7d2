"""Residual volatility: what a stock fluctuates beyond its beta."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from alphaloom.features.cne5 import Market, cmra, dastd, hsigma
from alphaloom.risk.base import WrittenStyle, styles


@styles.register("residual_volatility")
class ResidualVolatility(WrittenStyle):
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
    market: Market = "cap"
    """Weights of the market return."""

    def expressions(self) -> dict[str, str]:
        """Return `dastd`, `cmra` and `hsigma`."""
        return {
            "dastd": dastd(self.window, self.half_life, self.least),
            "cmra": cmra(),
            "hsigma": hsigma(self.window, self.residual_half_life, self.least, self.market),
        }

"""Momentum: relative strength of the last two years without the last month."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from alphaloom.features.cne5 import rstr
from alphaloom.risk.base import WrittenStyle, styles


@styles.register("momentum")
class Momentum(WrittenStyle):
    """RSTR, the weighted mean of daily log returns over 504 days that end 21 days ago, half-life 126.

    The risk-free rate is taken as 0. Source: CNE5 descriptor details, 2013. Differs: a mean over the listed days,
    not a sum, so that a history shorter than the window (at least `least` days) is comparable. A suspended day counts
    as a return of 0, and the day that ends a suspension has the return over all of it.
    """

    weights: ClassVar[Mapping[str, float]] = {"rstr": 1.0}

    window: Annotated[int, Field(ge=20)] = 504
    """Rows of the mean."""
    lag: Annotated[int, Field(ge=0)] = 21
    """Rows left out at the end."""
    half_life: Annotated[float, Field(gt=0)] = 126
    """Rows after which an observation's weight has halved."""
    least: Annotated[int, Field(ge=1)] = 231
    """Fewest listed days: with the lag, a year of 252 days."""

    def expressions(self) -> dict[str, str]:
        """Return `rstr`."""
        return {"rstr": rstr(self.window, self.lag, self.half_life, self.least)}

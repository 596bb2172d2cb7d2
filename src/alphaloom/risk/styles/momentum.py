"""Momentum: relative strength of the last two years without the last month."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from alphaloom.panel import Panel
from alphaloom.risk.base import Style, styles
from alphaloom.risk.decay import daily_returns, decayed_moments
from alphaloom.typing import Floats


@styles.register("momentum")
class Momentum(Style):
    """RSTR, the weighted mean of daily log returns over 504 days that end 21 days ago, half-life 126.

    The risk-free rate is taken as 0. Source: CNE5 descriptor details, 2013. Differs: a mean over the days there are,
    not a sum, so that a history shorter than the window (at least `least` days) is comparable.
    """

    weights: ClassVar[Mapping[str, float]] = {"rstr": 1.0}

    window: Annotated[int, Field(ge=20)] = 504
    """Rows of the mean."""
    lag: Annotated[int, Field(ge=0)] = 21
    """Rows left out at the end."""
    half_life: Annotated[float, Field(gt=0)] = 126
    """Rows after which an observation's weight has halved."""
    least: Annotated[int, Field(ge=1)] = 231
    """Fewest observations: with the lag, a year of 252 days."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Panel fields it reads."""
        return ("adj_close",)

    @property
    def lookback(self) -> int:
        """The window, the lag and the return before them."""
        return self.window + self.lag + 1

    def descriptors(self, panel: Panel, known: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return `rstr`."""
        logs = np.log1p(daily_returns(panel))
        strength = decayed_moments(logs, self.window, self.half_life, self.least)[0]
        out = np.full(strength.shape, np.nan, dtype=np.float32)
        out[self.lag :] = strength[: strength.shape[0] - self.lag]
        return {"rstr": out}

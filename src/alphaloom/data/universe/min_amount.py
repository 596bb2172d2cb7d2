"""Traded enough."""

from typing import Annotated

import numpy as np
from pydantic import Field

from alphaloom.data.universe.base import UniverseRule, universe_rules
from alphaloom.panel import Panel
from alphaloom.typing import Bools


@universe_rules.register("min_amount")
class MinAmount(UniverseRule):
    """Stocks whose mean traded value over the last `window` trading days, t included, is at least `amount`.

    A suspended day counts as 0; a day whose value is not known is left out of the mean; a stock without any known day
    in the window does not stay. Near the start of the panel or of the listing the window is as short as they make it.
    """

    inputs = ("amount", "is_suspended")
    amount: Annotated[float, Field(ge=0)] = 1e7
    """Least mean traded value a day, in the market's currency."""
    window: Annotated[int, Field(ge=1)] = 20
    """Trading days averaged over."""

    @property
    def lookback(self) -> int:
        """The window without t itself."""
        return self.window - 1

    def keep(self, panel: Panel) -> Bools:
        """Return true where enough was traded."""
        T = panel.dates.size
        value = np.where(panel["is_suspended"] == 1, np.float32(0), panel["amount"])
        known = ~np.isnan(value)
        value = np.where(known, value, np.float32(0))
        total, count = np.zeros(panel.shape), np.zeros(panel.shape, dtype=np.int32)
        # Each date sums its own window, oldest day first: the same bits wherever the panel starts or ends.
        for lag in range(min(self.window, T) - 1, -1, -1):
            total[lag:] += value[: T - lag]
            count[lag:] += known[: T - lag]
        out: Bools = (count > 0) & (total >= self.amount * count)
        return out

"""Not under risk warning."""

from typing import Literal

import numpy as np

from alphaloom.data.universe.base import UniverseRule, universe_rules
from alphaloom.panel import Panel
from alphaloom.typing import Bools


@universe_rules.register("not_st")
class NotSt(UniverseRule):
    """Stocks that carry no risk warning (ST, *ST) that day."""

    inputs = ("is_st",)
    unknown: Literal["drop", "keep"] = "drop"
    """What happens to a stock whose flag is missing that day."""

    def keep(self, panel: Panel) -> Bools:
        """Return true where the stock is known not to be ST, or unknown and kept."""
        flag = panel["is_st"]
        out: Bools = (flag == 0) | np.isnan(flag) if self.unknown == "keep" else flag == 0
        return out

"""Listed for some time."""

from typing import Annotated

from pydantic import Field

from alphaloom.data.universe.base import UniverseRule, universe_rules
from alphaloom.panel import Panel
from alphaloom.typing import Bools


@universe_rules.register("listed")
class Listed(UniverseRule):
    """Stocks that have been listed for at least `days` trading days, the first counted as 1."""

    inputs = ("listed_days",)
    days: Annotated[int, Field(ge=1)] = 60
    """Trading days since listing; 60 are about three months."""

    def keep(self, panel: Panel) -> Bools:
        """Return true where the stock is old enough; unknown age is not."""
        out: Bools = panel["listed_days"] >= self.days
        return out

"""Trading that day."""

from alphaloom.data.universe.base import UniverseRule, universe_rules
from alphaloom.panel import Panel
from alphaloom.typing import Bools


@universe_rules.register("not_suspended")
class NotSuspended(UniverseRule):
    """Stocks that traded that day. Whether they trade on the next is not known at its close."""

    inputs = ("is_suspended",)

    def keep(self, panel: Panel) -> Bools:
        """Return true where the stock is listed and not suspended."""
        out: Bools = panel["is_suspended"] == 0
        return out

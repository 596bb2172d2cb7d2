"""Not locked at a price limit."""

from typing import Literal

from alphaloom.data.universe.base import UniverseRule, universe_rules
from alphaloom.panel import Panel
from alphaloom.typing import Bools

_ROUNDING = 1e-6
"""Prices and limits are float32 on a grid far wider than this share of them."""


@universe_rules.register("not_locked")
class NotLocked(UniverseRule):
    """Stocks that were not locked at a price limit all day.

    Locked at the upper limit: the day's lowest price is the limit; at the lower: the highest price is. Touching a
    limit is no lock. A day without a limit (NaN) has no lock.
    """

    inputs = ("high", "low", "limit_up", "limit_down")
    side: Literal["both", "up", "down"] = "both"
    """Which locks remove a stock: `up` bars buying, `down` bars selling."""

    @property
    def required(self) -> tuple[str, ...]:
        """The prices and limits of the sides asked for."""
        up, down = ("low", "limit_up"), ("high", "limit_down")
        return {"both": (*up, *down), "up": up, "down": down}[self.side]

    def keep(self, panel: Panel) -> Bools:
        """Return true where the stock traded away from the limit at some time of the day, or has none."""
        if self.side == "up":
            return ~_locked_up(panel)
        if self.side == "down":
            return ~_locked_down(panel)
        return ~(_locked_up(panel) | _locked_down(panel))


def _locked_up(panel: Panel) -> Bools:
    out: Bools = panel["low"] >= panel["limit_up"] * (1 - _ROUNDING)
    return out


def _locked_down(panel: Panel) -> Bools:
    out: Bools = panel["high"] <= panel["limit_down"] * (1 + _ROUNDING)
    return out

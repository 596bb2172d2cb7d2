"""The return of everything that may be held: what a portfolio earns by its universe alone."""

import numpy as np

from alphaloom.data.grid import carry_forward
from alphaloom.panel import Panel
from alphaloom.typing import Doubles

FIELDS = ("adj_close",)
"""Panel fields that `universe_returns` reads."""


def universe_returns(panel: Panel) -> Doubles:
    """Return the equal-weighted daily return `[T]` of the universe's members of the day before, without costs.

    A member that does not trade keeps its last price; one that is not listed any more has left at that price. 0 on the
    first day and on days without a member.
    """
    price = carry_forward(panel["adj_close"])
    out = np.zeros(panel.dates.size)
    for t in range(1, panel.dates.size):
        change = price[t].astype(np.float64) / price[t - 1] - 1.0
        held = panel.universe[t - 1] & np.isfinite(change)
        if held.any():
            out[t] = change[held].mean()
    return out

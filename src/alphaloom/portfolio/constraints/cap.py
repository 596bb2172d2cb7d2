"""The largest weight of a stock."""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Constraint, Term, constraints, over
from alphaloom.portfolio.solve.problem import Box
from alphaloom.typing import Doubles


@constraints.register("cap")
class Cap(Constraint):
    """No stock may be bought beyond 1 / `num_stock`, nor sold short beyond it.

    A holding that drifted above the cap bars buying only: it may be kept, since a forced sale could use up the whole
    turnover. With `trim` it must be sold down to the cap, as far as it can be traded.
    """

    importance: ClassVar[int | None] = 80

    num_stock: Annotated[float, Field(ge=1)] = 100
    """The cap on a stock's weight is 1 over this: the fewest stocks that can be held."""
    trim: bool = False
    """Whether what drifted above the cap must be sold down to it."""

    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return the cap as each stock's own limits."""
        cap = 1.0 / self.num_stock
        if self.trim:
            return [Box(label, -cap, cap)]
        return [Box(label, np.minimum(-cap, decision.current), np.maximum(cap, decision.current))]

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return the largest excess over the cap; a holding that could not be sold is exempt."""
        cap = 1.0 / self.num_stock
        most = np.maximum(cap, np.abs(decision.current))
        if self.trim:
            most = np.where(decision.can_sell & decision.can_buy, cap, most)
        return over(np.abs(weights), 0.0, most)

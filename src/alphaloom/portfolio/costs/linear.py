"""Costs in proportion to what is traded."""

from typing import Annotated

import numpy as np
from pydantic import Field

from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.costs.base import Cost, CostTerms, costs
from alphaloom.typing import Doubles


@costs.register("linear")
class Linear(Cost):
    """Commission, duty, fees and half the spread, as fractions of the value bought and sold."""

    buy: Annotated[float, Field(ge=0, le=1)] = 8e-4
    """Cost of buying, a fraction of the value."""
    sell: Annotated[float, Field(ge=0, le=1)] = 1.3e-3
    """Cost of selling, a fraction of the value."""

    def terms(self, decision: Decision) -> CostTerms:
        """Return the two rates for every stock."""
        N = decision.score.size
        return CostTerms(np.full(N, self.buy), np.full(N, self.sell), np.zeros(N), np.zeros(N, dtype=np.bool_))

    def charge(self, decision: Decision, weights: Doubles) -> float:
        """Return the cost of trading to weights."""
        change = weights - decision.current
        return float(self.buy * change[change > 0].sum() - self.sell * change[change < 0].sum())

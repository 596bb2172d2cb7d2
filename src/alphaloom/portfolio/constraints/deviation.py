"""How far a stock's weight may be from the benchmark's."""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Constraint, Term, constraints, over
from alphaloom.portfolio.solve.problem import Box
from alphaloom.typing import Doubles


@constraints.register("deviation")
class Deviation(Constraint):
    """Bounds each stock's distance from its benchmark weight: `|w - benchmark| <= limit`.

    Where a stock cannot be traded that far, or a more important limit on it stands in the way, it comes as near as it
    can, and the limit counts as relaxed on that date.
    """

    importance: ClassVar[int | None] = 30

    limit: Annotated[float, Field(ge=0)] = 0.01
    """Largest difference from the benchmark weight, a fraction of the portfolio."""

    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return the band as each stock's own limits."""
        return [Box(label, decision.benchmark - self.limit, decision.benchmark + self.limit)]

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return the largest distance beyond the band."""
        return over(np.abs(weights - decision.benchmark), 0.0, self.limit)

"""How much is traded at one decision."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Constraint, Term, constraints
from alphaloom.portfolio.solve.problem import Bend
from alphaloom.typing import Doubles


@constraints.register("turnover")
class Turnover(Constraint):
    """Bounds the turnover, exactly as a sum of absolute changes of weight; off on the first date.

    Two-way counts purchases and sales together, one-way the larger of the two: a fully invested portfolio that swaps a
    tenth of its weight has a two-way turnover of 0.2 and a one-way turnover of 0.1.
    """

    importance: ClassVar[int | None] = 70

    limit: Annotated[float, Field(ge=0)] = 0.15
    """Largest turnover of a decision, a fraction of the portfolio."""
    counted: Literal["two_way", "one_way"] = "two_way"
    """Purchases plus sales, or the larger of the two."""

    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return the limit on purchases plus sales, or on each."""
        if decision.is_first:
            return []
        if self.counted == "two_way":
            return [Bend(label, "two-way", "current", 1.0, 1.0, self.limit)]
        return [
            Bend(label, "purchases", "current", 1.0, 0.0, self.limit),
            Bend(label, "sales", "current", 0.0, 1.0, self.limit),
        ]

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return by how much the turnover exceeds the limit."""
        if decision.is_first:
            return 0.0
        change = weights - decision.current
        bought, sold = float(np.maximum(change, 0.0).sum()), float(np.maximum(-change, 0.0).sum())
        return max(0.0, (bought + sold if self.counted == "two_way" else max(bought, sold)) - self.limit)

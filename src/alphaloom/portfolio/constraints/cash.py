"""How much stays uninvested."""

from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Constraint, Term, constraints
from alphaloom.portfolio.solve.rows import Dense
from alphaloom.typing import Doubles


@constraints.register("cash")
class Cash(Constraint):
    """Keeps the cash between two bounds. Without this constraint there is none: a long portfolio is fully invested.

    When it gives way more cash than that remains; less than `low` never does, nor is money borrowed.
    """

    importance: ClassVar[int | None] = 60

    low: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Least cash, a fraction of the portfolio."""
    high: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Most cash."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high < self.low:
            raise ValueError(f"high must be at least low; given: low {self.low:g}, high {self.high:g}")
        return self

    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return the row of the invested weight."""
        least, most = np.array([1.0 - self.high]), np.array([1.0 - self.low])
        return [Dense(label, ("invested",), np.ones((1, decision.score.size)), least, most, falls_only=True)]

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return how much more or less cash than allowed there is."""
        cash = 1.0 - float(weights.sum())
        return max(0.0, cash - self.high, self.low - cash)

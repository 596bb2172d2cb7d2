"""Portfolios that sell short."""

from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Constraint, Term, constraints
from alphaloom.portfolio.solve.problem import Bend
from alphaloom.portfolio.solve.rows import Dense
from alphaloom.typing import Doubles


@constraints.register("long_short")
class LongShort(Constraint):
    """Allows negative weights, and bounds gross weight, net weight and the short side.

    Gross is the sum of the weights' sizes, net their sum; the rest of the capital is cash. A stock that cannot be sold
    cannot be sold short further, one that cannot be bought not be covered; one without a score is only closed.
    """

    importance: ClassVar[int | None] = 65
    allows_shorts: ClassVar[bool] = True

    gross: Annotated[float, Field(gt=0)] = 2.0
    """Largest sum of the weights' sizes."""
    net_low: float = -0.05
    """Least sum of the weights."""
    net_high: float = 0.05
    """Largest sum of the weights."""
    short: Annotated[float, Field(ge=0)] | None = None
    """Largest sum of the short weights' sizes; null means none beyond gross."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.net_high < self.net_low:
            raise ValueError(f"net_high must be at least net_low; given: {self.net_low:g} to {self.net_high:g}")
        return self

    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return the gross and short limits and the row of the net weight."""
        net = np.array([self.net_low]), np.array([self.net_high])
        out: list[Term] = [
            Bend(label, "gross", "zero", 1.0, 1.0, self.gross),
            Dense(label, ("net",), np.ones((1, decision.score.size)), *net),
        ]
        if self.short is not None:
            out.append(Bend(label, "short", "zero", 0.0, 1.0, self.short))
        return out

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return the largest excess over gross, net and short limits."""
        net, gross = float(weights.sum()), float(np.abs(weights).sum())
        short = float(np.maximum(-weights, 0.0).sum())
        beyond = [gross - self.gross, net - self.net_high, self.net_low - net]
        return max([0.0, *beyond, *([] if self.short is None else [short - self.short])])

"""A limit on the forecast tracking error."""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Against, Constraint, Term, VarianceLimit, centre, constraints
from alphaloom.portfolio.forecast import covered_forecast
from alphaloom.typing import Doubles


@constraints.register("tracking_error")
class TrackingError(Constraint):
    """Bounds the forecast volatility of the return beside the benchmark, or of the portfolio's own return.

    When it gives way, the tracking error is the least that the more important limits allow.
    """

    importance: ClassVar[int | None] = 50

    limit_annual: Annotated[float, Field(gt=0)] = 0.05
    """Largest forecast volatility a year, a fraction."""
    against: Against = "benchmark"
    """Whether the active return is meant or the portfolio's own."""
    annual_days: Annotated[float, Field(gt=0)] = 252.0
    """Trading days a year."""

    @property
    def uses_forecast(self) -> bool:
        """It reads the forecast of the variance."""
        return True

    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return the limit on the daily variance."""
        return [VarianceLimit(label, self.limit_annual**2 / self.annual_days, centre(decision, self.against))]

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return by how much the annual volatility exceeds the limit."""
        active = weights - centre(decision, self.against)
        variance = covered_forecast(decision).variance(active)
        return max(0.0, float(np.sqrt(variance * self.annual_days)) - self.limit_annual)

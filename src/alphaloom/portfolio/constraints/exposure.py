"""Limits on the exposure to anything that can be written in the factor language."""

from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from alphaloom.errors import DataError
from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Against, Constraint, Term, centre, constraints
from alphaloom.portfolio.solve.problem import Box
from alphaloom.portfolio.solve.rows import Dense
from alphaloom.typing import Bools, Doubles


@constraints.register("exposure")
class Exposure(Constraint):
    """Keeps the weighted sum of a stock's attribute between two bounds, beside the benchmark's or for itself.

    The attribute is an expression, such as `log_cap` or `is_st`. Where it is unknown, a stock is not bought, and counts
    with the mean of the known ones when it is held or in the benchmark.
    """

    importance: ClassVar[int | None] = 15

    of: Annotated[str, Field(min_length=1)] = "log_cap"
    """The attribute, an expression of the factor language."""
    low: float | None = None
    """Least exposure; null means none."""
    high: float | None = 0.1
    """Largest exposure; null means none."""
    against: Against = "benchmark"
    """Whether the exposure is measured against the benchmark's or for the portfolio itself."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError("give low, high or both")
        if self.low is not None and self.high is not None and self.high < self.low:
            raise ValueError(f"high must be at least low; given: {self.low:g} to {self.high:g}")
        return self

    @property
    def expressions(self) -> tuple[str, ...]:
        """The attribute."""
        return (self.of,)

    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return the row, and the bar on buying where the attribute is unknown.

        Raises:
            DataError: no stock has the attribute.
        """
        values, known = self._values(decision)
        base, scale = float(values @ centre(decision, self.against)), _spread(values, known)
        low = np.array([-np.inf if self.low is None else (base + self.low) / scale])
        high = np.array([np.inf if self.high is None else (base + self.high) / scale])
        barred = Box(
            f"{label} unknown",
            np.where(known, -np.inf, np.minimum(decision.current, 0.0)),
            np.where(known, np.inf, np.maximum(decision.current, 0.0)),
        )
        return [Dense(label, (self.of,), values[None] / scale, low, high), barred]

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return by how much the exposure is out of its range, in standard deviations of the attribute."""
        values, known = self._values(decision)
        exposure = float(values @ (weights - centre(decision, self.against)))
        below = 0.0 if self.low is None else self.low - exposure
        above = 0.0 if self.high is None else exposure - self.high
        return max(0.0, below, above) / _spread(values, known)

    def _values(self, decision: Decision) -> tuple[Doubles, Bools]:
        values = decision.measured[self.of]
        known = np.isfinite(values)
        if not known.any():
            raise DataError(f"No stock has {self.of} on {decision.date}: the exposure limit cannot be applied.")
        return np.where(known, values, values[known].mean()), known


def _spread(values: Doubles, known: Bools) -> float:
    """Return the standard deviation of the known values: the unit in which attributes of any size are alike."""
    return float(values[known].std()) or max(1.0, float(np.abs(values).max()))

"""Limits on the weights of industries."""

from functools import cache
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from alphaloom.errors import DataError
from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Against, Constraint, Term, centre, constraints, over
from alphaloom.portfolio.solve.rows import Groups, group_sums
from alphaloom.typing import Doubles, Ints


@constraints.register("industry")
class Industry(Constraint):
    """Bounds the weight of each industry: within `limit` of the benchmark's, or at most `limit` in size.

    Stocks of unknown industry share one of their own.
    """

    importance: ClassVar[int | None] = 20

    limit: Annotated[float, Field(ge=0)] = 0.5
    """Largest difference from the benchmark's weight, or largest weight."""
    against: Against = "benchmark"
    """Whether weights are measured against the benchmark's or for the portfolio itself."""

    @property
    def uses_industry(self) -> bool:
        """It reads industries."""
        return True

    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return a row an industry.

        Raises:
            DataError: no stock has an industry.
        """
        codes = self._codes(decision)
        there = np.flatnonzero(np.bincount(codes))
        place = np.empty(there[-1] + 1, dtype=np.int64)
        place[there] = np.arange(there.size)
        groups = place[codes]
        base = group_sums(groups, centre(decision, self.against), there.size)
        return [Groups(label, _names(tuple(there.tolist())), groups, base - self.limit, base + self.limit)]

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return the largest excess over the industries, in weight."""
        active = group_sums(self._codes(decision), weights - centre(decision, self.against), 1)
        return over(active, -self.limit, self.limit)

    def _codes(self, decision: Decision) -> Ints:
        """Return each stock's industry: its code + 1, 0 for unknown."""
        known = ~np.isnan(decision.industry)
        if not known.any():
            raise DataError(
                f"No stock has an industry on {decision.date}: the industry limit cannot be applied. Add the table "
                "industry to the store, or leave the industry limit out."
            )
        codes: Ints = np.where(known, decision.industry, -1.0).astype(np.int64) + 1
        return codes


@cache
def _names(groups: tuple[int, ...]) -> tuple[str, ...]:
    return tuple("unknown" if group == 0 else str(group - 1) for group in groups)

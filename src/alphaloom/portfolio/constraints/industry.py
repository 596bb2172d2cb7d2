"""Limits on the weights of industries."""

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
        codes, there = self._groups(decision)
        base = group_sums(codes, centre(decision, self.against), there.size)
        names = tuple("unknown" if code == 0 else str(code - 1) for code in there.tolist())
        return [Groups(label, names, codes, base - self.limit, base + self.limit)]

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return the largest excess over the industries, in weight."""
        codes, there = self._groups(decision)
        active = group_sums(codes, weights - centre(decision, self.against), there.size)
        return over(active, -self.limit, self.limit)

    def _groups(self, decision: Decision) -> tuple[Ints, Ints]:
        """Return each stock's place among the industries there are, and these: 0 for unknown, else code + 1."""
        known = ~np.isnan(decision.industry)
        if not known.any():
            raise DataError(
                f"No stock has an industry on {decision.date}: the industry limit cannot be applied. Add the table "
                "industry to the store, or leave the industry limit out."
            )
        codes = np.where(known, decision.industry, -1.0).astype(np.int64) + 1
        there = np.flatnonzero(np.bincount(codes))
        place = np.zeros(there[-1] + 1, dtype=np.int64)
        place[there] = np.arange(there.size)
        return place[codes], there

"""The largest number of holdings."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Constraint, Term, constraints
from alphaloom.portfolio.solve.cardinality import HELD, Count
from alphaloom.typing import Doubles


@constraints.register("cardinality")
class Cardinality(Constraint):
    """Holds at most `most` stocks. The notes tell how far the result may be from the best choice.

    `greedy` leaves out the smallest weights again and again; `mip` searches all choices, for linear objectives of long
    portfolios. Holdings that cannot be sold count, and are kept when there are more of them.
    """

    importance: ClassVar[int | None] = 90

    most: Annotated[int, Field(ge=1)] = 50
    """Largest number of holdings."""
    method: Literal["greedy", "mip"] = "greedy"
    """How the stocks are chosen."""
    nodes: Annotated[int, Field(ge=1)] = 1000
    """Most nodes of the exact search; the best choice found until then is taken, and its gap told."""

    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return the count."""
        return [Count(self.most, self.method, self.nodes)]

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return how many holdings too many there are."""
        return float(max(0, int((np.abs(weights) > HELD).sum()) - self.most))

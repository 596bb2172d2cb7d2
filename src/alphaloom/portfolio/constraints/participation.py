"""How much of a stock's trading an order may be."""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from alphaloom.errors import DataError
from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Constraint, Term, constraints, over
from alphaloom.portfolio.solve.problem import Box
from alphaloom.typing import Doubles


@constraints.register("participation")
class Participation(Constraint):
    """Bounds each order: `capital |w - w0| <= share x average daily amount`.

    The amount is the mean of the last `days` rows up to the decision. A stock without any is not traded. Holding still
    always keeps this limit, so that it never gives way.
    """

    importance: ClassVar[int | None] = None

    share: Annotated[float, Field(gt=0)] = 0.1
    """Largest order as a share of the average daily amount; above 1 when orders are spread over several days."""
    days: Annotated[int, Field(ge=1)] = 20
    """Rows over which the amount is averaged."""

    @property
    def expressions(self) -> tuple[str, ...]:
        """The average amount."""
        return (f"ts_mean(amount, {self.days})",)

    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return the range around each holding.

        Raises:
            DataError: the capital is unknown.
        """
        most = self._most(decision)
        return [Box(label, decision.current - most, decision.current + most)]

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return the largest order beyond its limit, in weight."""
        return over(np.abs(weights - decision.current), 0.0, self._most(decision))

    def _most(self, decision: Decision) -> Doubles:
        if decision.capital is None:
            raise DataError(
                f"The participation limit of {decision.date} needs the capital that weights are fractions of; none was "
                "given. Pass capital, or leave the limit out."
            )
        amount = np.nan_to_num(decision.measured[self.expressions[0]], nan=0.0)
        return self.share * amount / decision.capital

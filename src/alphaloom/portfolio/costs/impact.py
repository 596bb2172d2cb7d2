"""Market impact by the square-root law."""

from typing import Annotated

import numpy as np
from pydantic import Field

from alphaloom.errors import DataError
from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.costs.base import Cost, CostTerms, costs
from alphaloom.typing import Bools, Doubles


@costs.register("impact")
class Impact(Cost):
    """An order moves the price by `y sigma sqrt(order / amount)`, so that it costs with the power 3/2 of its size.

    With `order = capital |w - w0|`, the stock's cost is `y sigma sqrt(capital / amount) |w - w0|^(3/2)`. Sigma is the
    standard deviation of daily returns and the amount the mean of daily amounts, both over the last `days` rows up to
    the decision. A stock of unknown volatility or without amount is not bought, and sold at the date's highest known
    coefficient.

    Source: the square-root law as in Grinold and Kahn (2000, chapter 16) and Almgren et al. (2005, Risk 18).
    """

    y: Annotated[float, Field(ge=0, le=100)] = 1.0
    """The law's constant, near 1."""
    days: Annotated[int, Field(ge=2)] = 20
    """Rows over which volatility and amount are measured."""

    @property
    def expressions(self) -> tuple[str, ...]:
        """Volatility and average amount."""
        return f"ts_std(returns, {self.days})", f"ts_mean(amount, {self.days})"

    def terms(self, decision: Decision) -> CostTerms:
        """Return each stock's coefficient of the power 3/2.

        Raises:
            DataError: the capital is unknown, or no stock has a volatility and an amount.
        """
        coefficient, known = self._coefficient(decision)
        none = np.zeros(decision.score.size)
        return CostTerms(none, none, coefficient, ~known)

    def charge(self, decision: Decision, weights: Doubles) -> float:
        """Return the cost of trading to weights."""
        coefficient, _ = self._coefficient(decision)
        return float((coefficient * np.abs(weights - decision.current) ** 1.5).sum())

    def _coefficient(self, decision: Decision) -> tuple[Doubles, Bools]:
        if decision.capital is None:
            raise DataError(
                f"The impact cost of {decision.date} needs the capital that weights are fractions of; none was given. "
                "Pass capital, or leave the cost out."
            )
        sigma, amount = (decision.measured[text] for text in self.expressions)
        known = (sigma >= 0) & (amount > 0)
        if not known.any():
            raise DataError(f"No stock has a volatility and an amount on {decision.date}: its impact is unknown.")
        value = np.zeros(sigma.size)
        value[known] = self.y * sigma[known] * np.sqrt(decision.capital / amount[known])
        value[~known] = value[known].max()
        return value, known

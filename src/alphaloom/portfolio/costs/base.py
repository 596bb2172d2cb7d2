"""What a trading cost is, and the registry of all of them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from alphaloom.portfolio.base import Decision
from alphaloom.registry import Registry
from alphaloom.spec import Component
from alphaloom.typing import Bools, Doubles


@dataclass(frozen=True)
class CostTerms:
    """`buying (w - w0)+ + selling (w - w0)- + impact |w - w0|^(3/2)`, fractions of the portfolio. Arrays `[N]`."""

    buying: Doubles
    selling: Doubles
    impact: Doubles
    barred: Bools
    """Stocks that cannot be bought because their cost is unknown."""


class Cost(Component, ABC):
    """A cost of trading, compiled for the solvers and charged on the result without them."""

    @property
    def expressions(self) -> tuple[str, ...]:
        """Expressions of the factor language it reads through `Decision.measured`."""
        return ()

    @abstractmethod
    def terms(self, decision: Decision) -> CostTerms:
        """Return the coefficients of the date's costs."""

    @abstractmethod
    def charge(self, decision: Decision, weights: Doubles) -> float:
        """Return what trading to weights `[N]` costs, a fraction of the portfolio: from the weights alone."""


costs: Registry[Cost] = Registry("cost", Cost, "alphaloom.portfolio.costs")

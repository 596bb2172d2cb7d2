"""What a constraint is, and the registry of all of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.solve.cardinality import Count
from alphaloom.portfolio.solve.problem import Bend, Box
from alphaloom.portfolio.solve.rows import Dense, Groups
from alphaloom.registry import Registry
from alphaloom.spec import Component
from alphaloom.typing import Doubles


@dataclass(frozen=True)
class VarianceLimit:
    """The forecast variance of a day's return of `w - centre` is at most `most`."""

    label: str
    most: float
    centre: Doubles


@dataclass(frozen=True)
class Modelled:
    """Constraints written in cvxpy: `write(weights, decision)` returns them for the variable `weights [N]`."""

    label: str
    write: Callable[[Any, Decision], Sequence[Any]]


Term = Dense | Groups | Box | Bend | VarianceLimit | Count | Modelled
"""The forms that a constraint can take for the solvers."""


class Constraint(Component, ABC):
    """A limit on the weights of one date, compiled to terms and checked on the result without them."""

    importance: ClassVar[int | None] = None
    """Where the limit stands by default among those that give way, larger ones later; None never gives way."""
    allows_shorts: ClassVar[bool] = False
    """Whether weights may be negative under it."""

    @property
    def expressions(self) -> tuple[str, ...]:
        """Expressions of the factor language it reads through `Decision.measured`."""
        return ()

    @property
    def uses_risk(self) -> bool:
        """Whether it reads style exposures."""
        return False

    @property
    def uses_industry(self) -> bool:
        """Whether it reads industries."""
        return False

    @property
    def uses_forecast(self) -> bool:
        """Whether it reads the forecast of the variance."""
        return False

    @abstractmethod
    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return the limit in the solvers' forms, under its label; none when it does not apply on that date.

        Raises:
            DataError: the date lacks what the limit is about.
        """

    @abstractmethod
    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return by how much weights `[N]` go beyond the limit, 0 when they do not: from the weights alone."""


constraints: Registry[Constraint] = Registry("constraint", Constraint, "alphaloom.portfolio.constraints")


Against = Literal["benchmark", "zero"]
"""Whether a limit is meant beside the benchmark or for the portfolio itself."""


def centre(decision: Decision, against: Against) -> Doubles:
    """Return the weights `[N]` that a limit is measured from."""
    return decision.benchmark if against == "benchmark" else np.zeros_like(decision.benchmark)


def over(value: Doubles, low: Doubles | float, high: Doubles | float) -> float:
    """Return the largest distance of values from their range, 0 when all are inside."""
    return float(np.maximum(np.maximum(value - high, low - value), 0.0).max(initial=0.0))

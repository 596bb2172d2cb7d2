"""Limits on style exposures."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from alphaloom.errors import unknown_name
from alphaloom.portfolio.base import Decision
from alphaloom.portfolio.constraints.base import Against, Constraint, Term, centre, constraints, over
from alphaloom.portfolio.solve.rows import Dense
from alphaloom.typing import Doubles


@constraints.register("style")
class Style(Constraint):
    """Bounds the exposure to each style: `|X (w - benchmark)| <= limit`, in standard deviations of the universe.

    Exposures that are unknown count as 0, the average stock, and are counted in the notes.
    """

    importance: ClassVar[int | None] = 10

    limit: Annotated[float, Field(ge=0)] | None = 0.3
    """Largest exposure either way, for every style without a limit of its own; null means none."""
    overrides: Mapping[str, Annotated[float, Field(ge=0)] | None] = Field(default_factory=dict)
    """Limits of single styles, by name; null means none."""
    against: Against = "benchmark"
    """Whether exposures are measured against the benchmark's or for the portfolio itself."""

    @property
    def uses_risk(self) -> bool:
        """It reads style exposures."""
        return True

    def terms(self, decision: Decision, label: str) -> list[Term]:
        """Return a row a style that has a limit.

        Raises:
            UnknownNameError: a limit is set for a style that the decision does not have.
        """
        limits = self._limits(decision)
        there = np.flatnonzero(np.isfinite(limits))
        if not there.size:
            return []
        values = decision.exposures if there.size == limits.size else decision.exposures[there]
        base = values @ centre(decision, self.against)
        names = tuple(decision.styles[k] for k in there.tolist())
        return [Dense(label, names, values, base - limits[there], base + limits[there])]

    def excess(self, decision: Decision, weights: Doubles) -> float:
        """Return the largest excess over the styles, in standard deviations."""
        limits = self._limits(decision)
        return over(decision.exposures @ (weights - centre(decision, self.against)), -limits, limits)

    def _limits(self, decision: Decision) -> Doubles:
        for name in self.overrides:
            if name not in decision.styles:
                raise unknown_name("style", name, decision.styles, "overrides of the constraint style")
        limits = [self.overrides.get(name, self.limit) for name in decision.styles]
        return np.array([np.inf if limit is None else limit for limit in limits])

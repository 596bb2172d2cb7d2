"""Index enhancement by linear programme: most alpha within limits against a benchmark."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, field_validator

from alphaloom.portfolio.base import Construction, Decision, Target, constructions
from alphaloom.portfolio.constraints.cap import Cap
from alphaloom.portfolio.constraints.industry import Industry
from alphaloom.portfolio.constraints.style import Style
from alphaloom.portfolio.constraints.turnover import Turnover
from alphaloom.portfolio.optimise import Optimise

Limit = Literal["cap", "turnover", "cash", "industry", "style"]


@constructions.register("linear_programme")
class LinearProgramme(Construction):
    """Maximises the weighted score under style, industry, weight and turnover limits against the benchmark.

    Maximise `w' score` subject to `|X (w - bench)| <= style_limit`, `|industry (w - bench)| <= industry_limit`,
    `w <= 1 / num_stock`, `|w - w0|_1 <= turnover_limit`, `sum w = 1`, `w >= 0`: the construction `optimise` with these
    constraints, neither risk nor costs, in the short form of the study. Without a benchmark the limits hold for the
    portfolio itself; without holdings the turnover limit is off.

    Source: seed study of weekly boosting, section 4.3. Differs: turnover there lacks the absolute value (as printed it
    is always 0) and is read as the two-way sum of absolute changes.
    """

    style_limit: Annotated[float, Field(ge=0)] | None = 0.3
    """Largest active exposure to each style, in standard deviations; null means none."""
    industry_limit: Annotated[float, Field(ge=0)] | None = 0.5
    """Largest active weight of each industry; null means none."""
    num_stock: Annotated[int, Field(ge=1)] = 100
    """The cap on a stock's weight is 1 over this."""
    turnover_limit: Annotated[float, Field(ge=0)] | None = 0.15
    """Largest two-way turnover, the sum of absolute changes of weight; null means none."""
    priority: tuple[Limit, ...] = ("cap", "turnover", "cash", "industry", "style")
    """What must hold longest when not all can, most important first; a limit left out never gives way."""

    @field_validator("priority")
    @classmethod
    def _each_once(cls, value: tuple[Limit, ...]) -> tuple[Limit, ...]:
        if len(set(value)) != len(value):
            raise ValueError(f"each limit may stand in the priority once; given: {', '.join(value)}")
        return value

    @property
    def uses_risk(self) -> bool:
        """It reads style exposures."""
        return True

    @cached_property
    def long_form(self) -> Optimise:
        """The same as settings of `optimise`."""
        limits = [
            Cap(num_stock=self.num_stock),
            None if self.turnover_limit is None else Turnover(limit=self.turnover_limit),
            None if self.industry_limit is None else Industry(limit=self.industry_limit),
            Style(limit=self.style_limit),
        ]
        constraints = tuple(limit for limit in limits if limit is not None)
        there = {"cash", *(type(limit).name for limit in constraints)}
        return Optimise(constraints=constraints, priority=tuple(name for name in self.priority if name in there))

    def weigh(self, decision: Decision) -> Target:
        """Return the optimal weights with solver status, relaxations, certificate and binding limits in the notes.

        Raises:
            DataError: no score, or an industry limit without any industry.
            RunError: no solution, or one that fails its certificate.
        """
        return self.long_form.weigh(decision)

"""Another construction's choice of stocks, equally weighted."""

from dataclasses import replace
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from alphaloom.portfolio.allocate import allocate, pinned
from alphaloom.portfolio.base import Construction, Decision, Target, constructions


def _picks() -> Construction:
    return constructions.parse({"name": "linear_programme", "style_limit": 1.0})


@constructions.register("equal_weight")
class EqualWeight(Construction):
    """Holds what another construction picks, each stock with the same weight.

    The picks are the stocks to which the other gives at least `least` of its largest weight. Equal weights keep none of
    the other's limits: its notes, turnover among them, are those of its own weights, and begin with `picks_`. Holdings
    that cannot be sold stay as they are.

    Source: seed study of weekly boosting, section 5.1: the equally weighted portfolio beside the optimised ones, there
    written as a style limit of 1, at which the cap of 1 / `num_stock` alone decides.
    """

    picks: Annotated[Construction, constructions] = Field(default_factory=_picks)
    """The construction that chooses, long alone; by default the linear programme with a style limit of 1."""
    least: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Smallest weight of a pick, as a fraction of the largest one."""

    @model_validator(mode="after")
    def _only_long(self) -> Self:
        if not self.picks.is_long_only:
            raise ValueError(f"picks: {type(self.picks).name} sells short; equal weights are long")
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the picks read."""
        return self.picks.inputs

    @property
    def expressions(self) -> tuple[str, ...]:
        """What the picks read."""
        return self.picks.expressions

    @property
    def uses_risk(self) -> bool:
        """Whether the picks read style exposures."""
        return self.picks.uses_risk

    @property
    def uses_industry(self) -> bool:
        """Whether the picks read industries."""
        return self.picks.uses_industry

    @property
    def uses_forecast(self) -> bool:
        """Whether the picks read a forecast of the variance."""
        return self.picks.uses_forecast

    def weigh(self, decision: Decision) -> Target:
        """Return equal weights over the picks.

        Raises:
            DataError, RunError: as the picks' construction.
        """
        made = self.picks.weigh(decision)
        stuck = pinned(decision)
        chosen = (made.weights >= self.least * made.weights.max()) & (made.weights > 0) & ~stuck
        # A holding without a score may be among the picks; it is kept, not added to.
        scored = replace(decision, can_buy=decision.can_buy & np.isfinite(decision.score))
        return Target(
            allocate(scored, chosen.astype(np.float64)),
            {
                "chosen": float(chosen.sum()),
                "pinned": float(stuck.sum()),
                "pinned_weight": float(decision.current[stuck].sum()),
                **{f"picks_{name}": value for name, value in made.notes.items()},
            },
            last=made.last,
        )

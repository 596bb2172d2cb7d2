"""The best quantile of the scored stocks."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from alphaloom.errors import DataError
from alphaloom.portfolio.allocate import allocate, pinned, ranked, require_scores
from alphaloom.portfolio.base import Construction, Decision, Target, constructions


@constructions.register("quantile")
class Quantile(Construction):
    """Holds the best 1/`groups` of the scored stocks that can be held, equally or by capitalisation.

    The number of stocks is `ceil(scored / groups)`, at least 1. Holdings that cannot be sold stay as they are.
    """

    groups: Annotated[int, Field(ge=1)] = 10
    """Into how many groups the scored stocks are cut; the best is held."""
    weight: Literal["equal", "cap"] = "equal"
    """Equal weights, or in proportion to market capitalisation."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Capitalisation, as its logarithm."""
        return ("log_cap",)

    def weigh(self, decision: Decision) -> Target:
        """Return the weights of the best group.

        Raises:
            DataError: no stock has a score, or a chosen stock has no capitalisation to be weighted by.
        """
        scored = require_scores(decision)
        stuck = pinned(decision)
        eligible = scored & ~stuck & (decision.can_buy | (decision.current > 0))
        names = ranked(decision.score, eligible)[: max(1, int(np.ceil(scored.sum() / self.groups)))]
        shares = np.zeros(decision.score.size)
        shares[names] = 1.0
        if self.weight == "cap" and names.size:
            cap = np.exp(decision.fields["log_cap"][names])
            if np.isnan(cap).any():
                raise DataError(
                    f"{int(np.isnan(cap).sum())} of the {names.size} chosen stocks have no log_cap on {decision.date}: "
                    "they cannot be weighted by capitalisation. Set weight to equal."
                )
            shares[names] = cap / cap.sum()
        return Target(
            allocate(decision, shares),
            {
                "chosen": float(names.size),
                "pinned": float(stuck.sum()),
                "pinned_weight": float(decision.current[stuck].sum()),
            },
        )

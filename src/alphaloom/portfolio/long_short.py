"""The best stocks bought, the worst sold short."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from alphaloom.portfolio.allocate import EMPTY, allocate, ranked, require_scores
from alphaloom.portfolio.base import Construction, Decision, Target, constructions
from alphaloom.typing import Doubles


@constructions.register("long_short")
class LongShort(Construction):
    """Buys the best 1/`groups` of the scored stocks and sells as many of the worst short, each side equally weighted.

    A side that cannot trade stays: what cannot be sold is kept, and so is a short position that cannot be bought back.
    The replay takes negative weights where `backtest.short_selling` is set and the market allows them.
    """

    groups: Annotated[int, Field(ge=2)] = 10
    """Into how many groups the scored stocks are cut; the first is bought, the last sold."""
    long: Annotated[float, Field(gt=0, le=5)] = 1.0
    """Weight of all purchases."""
    short: Annotated[float, Field(gt=0, le=5)] = 1.0
    """Weight of all short positions; long less short is at most 1."""

    @property
    def is_long_only(self) -> bool:
        """It sells short."""
        return False

    def weigh(self, decision: Decision) -> Target:
        """Return the weights of both sides.

        Raises:
            DataError: no stock has a score.
        """
        order = ranked(decision.score, require_scores(decision))
        size = max(1, int(np.ceil(order.size / self.groups)))
        bought = self._side(decision, order[:size], self.long)
        mirror = replace(decision, current=-decision.current, can_buy=decision.can_sell, can_sell=decision.can_buy)
        sold = self._side(mirror, order[-min(size, order.size // 2) :], self.short) if order.size > 1 else 0.0 * bought
        weights = bought - sold
        return Target(
            weights,
            {
                "long": float((weights > EMPTY).sum()),
                "short": float((weights < -EMPTY).sum()),
                "net": float(weights.sum()),
                "gross": float(np.abs(weights).sum()),
            },
        )

    def _side(self, decision: Decision, names: np.ndarray, total: float) -> Doubles:
        """Return the weights of one side, as if it were a long portfolio of its own, times its share of the capital."""
        own = replace(decision, current=np.maximum(decision.current, 0.0) / total)
        shares = np.zeros(decision.score.size)
        shares[names] = 1.0
        return total * allocate(own, shares)

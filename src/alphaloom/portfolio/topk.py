"""The k best-scored stocks, equally weighted."""

from typing import Annotated

import numpy as np
from pydantic import Field

from alphaloom.portfolio.allocate import EMPTY, allocate, pinned, ranked, require_scores
from alphaloom.portfolio.base import Construction, Decision, Target, constructions
from alphaloom.typing import Bools


@constructions.register("topk")
class TopK(Construction):
    """Holds the `k` best-scored stocks with equal weights; with `drop`, replaces at most that many a decision.

    With `drop` set (top-k dropout): held stocks and the best newcomers, `drop + k - held` of them, are ranked together;
    held stocks among the `drop` last of that ranking are sold, and as many newcomers bought as places are free. Stocks
    without a score rank last. Holdings that cannot be sold stay, outside the k and within the weights.

    Source: the dropout rule is that of qlib's `TopkDropoutStrategy`. Differs: kept holdings return to equal weights.
    """

    k: Annotated[int, Field(ge=1)] = 50
    """How many stocks to hold."""
    drop: Annotated[int, Field(ge=1)] | None = None
    """At most how many holdings to replace at each decision; null replaces all that are no longer among the best."""

    def weigh(self, decision: Decision) -> Target:
        """Return equal weights over the chosen stocks; cash only when fewer than one can be bought."""
        scored = require_scores(decision)
        stuck = pinned(decision)
        held = (decision.current > EMPTY) & ~stuck
        chosen = self._best(decision, scored, held) if self.drop is None else self._dropout(decision, scored, held)
        weights = allocate(decision, chosen.astype(np.float64))
        return Target(
            weights,
            {
                "chosen": float(chosen.sum()),
                "pinned": float(stuck.sum()),
                "pinned_weight": float(decision.current[stuck].sum()),
            },
        )

    def _best(self, decision: Decision, scored: Bools, held: Bools) -> Bools:
        eligible = scored & (decision.can_buy | held) & ~pinned(decision)
        chosen = np.zeros(scored.size, dtype=np.bool_)
        chosen[ranked(decision.score, eligible)[: self.k]] = True
        return chosen

    def _dropout(self, decision: Decision, scored: Bools, held: Bools) -> Bools:
        assert self.drop is not None
        score = np.where(scored, decision.score, -np.inf)
        fresh = scored & decision.can_buy & (decision.current <= EMPTY)
        newcomers = ranked(score, fresh)[: max(0, self.drop + self.k - int(held.sum()))]
        together = held.copy()
        together[newcomers] = True
        last = ranked(score, together)[-self.drop :] if together.any() else newcomers
        sold = np.zeros(score.size, dtype=np.bool_)
        sold[last] = True
        chosen = held & ~sold
        chosen[newcomers[: max(0, self.k - int(chosen.sum()))]] = True
        return chosen

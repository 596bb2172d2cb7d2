"""A sum of money put into the best-scored stocks, no more into each than its trading bears."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from alphaloom.errors import DataError
from alphaloom.portfolio.allocate import EMPTY, allocate, pinned, ranked, require_scores
from alphaloom.portfolio.base import Construction, Decision, Target, constructions
from alphaloom.typing import Doubles, Ints

FULL = 1e-9
"""A weight this near to its limit, as a fraction of it, is at the limit."""


@constructions.register("liquidity_fill")
class LiquidityFill(Construction):
    """Puts the capital into the `n` best-scored stocks, each position up to a share of its average daily amount.

    With capital C and average daily amount a, both in the market's currency, `w <= min(share a / C, cap)`. What finds
    no place stays cash. The limit is one on the position, not on the order: what a decision holds could be bought, and
    sold again, in a day of `share` participation, and repeated decisions do not build up what one could not. Holdings
    beyond their limit are sold down to it. The capital is that of the date: it grows with the portfolio.

    A stock without an average amount keeps its place among the n and gets nothing. Holdings that cannot be sold stay,
    outside the n; stocks that can neither be bought nor are held give their place to the next.

    Source: capital test of the seed study of MASTER: 150 million bought by liquidity into the top n by score; `amount`
    is what the validation measure `liquidity_return` does on every day anew.
    """

    n: Annotated[int, Field(ge=1)] = 50
    """How many stocks the money may go to."""
    share: Annotated[float, Field(gt=0)] = 0.1
    """Largest position as a share of the average daily amount; above 1 when days are taken to build it."""
    days: Annotated[int, Field(ge=1)] = 20
    """Rows up to the decision over which the amount is averaged."""
    cap: Annotated[float, Field(gt=0, le=1)] | None = None
    """Largest weight of a stock; null means none beside its liquidity."""
    spread: Literal["score", "amount"] = "score"
    """`score`: the best first, each up to its limit, until the money is spent. `amount`: all n at once, in proportion
    to their average amounts."""

    @property
    def label(self) -> str:
        """The registered name, and `liquidity_fill-by-amount` for the proportional form."""
        return type(self).name + ("-by-amount" if self.spread == "amount" else "")

    @property
    def expressions(self) -> tuple[str, ...]:
        """The average amount."""
        return (f"ts_mean(amount, {self.days})",)

    def weigh(self, decision: Decision) -> Target:
        """Return the weights that the money reaches; the notes tell what stayed unspent, and why.

        `chosen`: stocks that money was offered; `filled`: those that got any; `at_limit`: those that got all they may;
        `no_amount`: those without an average amount; `unspent`: weight left in cash; `capacity`: money that the chosen
        stocks could take at most; `pinned`, `pinned_weight`: holdings that could not be sold.

        Raises:
            DataError: no stock has a score, or the capital is unknown.
        """
        scored = require_scores(decision)
        if decision.capital is None:
            raise DataError(
                f"liquidity_fill needs the capital on {decision.date}: it compares positions in money with traded "
                "values. Pass capital (in a recipe: backtest.capital)."
            )
        stuck = pinned(decision)
        eligible = scored & ~stuck & (decision.can_buy | (decision.current > EMPTY))
        chosen = ranked(decision.score, eligible)[: self.n]
        amount = np.maximum(np.nan_to_num(decision.measured[self.expressions[0]], nan=0.0), 0.0)
        bound = self.share * amount / decision.capital
        limit = bound if self.cap is None else np.minimum(bound, self.cap)
        weights = self._spread(decision, chosen, amount, limit)
        reached = weights[chosen]
        return Target(
            weights,
            {
                "chosen": float(chosen.size),
                "filled": float((reached > EMPTY).sum()),
                "at_limit": float(((reached > EMPTY) & (reached >= limit[chosen] * (1.0 - FULL))).sum()),
                "no_amount": float((amount[chosen] <= 0).sum()),
                "unspent": max(0.0, 1.0 - float(weights.sum())),
                "capacity": float(decision.capital * limit[chosen].sum()),
                "pinned": float(stuck.sum()),
                "pinned_weight": float(decision.current[stuck].sum()),
            },
        )

    def _spread(self, decision: Decision, chosen: Ints, amount: Doubles, limit: Doubles) -> Doubles:
        if self.spread == "amount":
            shares = np.zeros(amount.size)
            shares[chosen] = amount[chosen]
            return allocate(decision, shares, limit)
        weights = np.where(pinned(decision), decision.current, 0.0)
        left = max(0.0, 1.0 - float(weights.sum()))
        most = np.where(decision.can_buy, limit, np.minimum(limit, decision.current))[chosen]
        before = np.concatenate([[0.0], np.cumsum(most)[:-1]])
        weights[chosen] = np.clip(left - before, 0.0, most)
        return weights

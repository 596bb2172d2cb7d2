"""Weights for a chosen set of stocks around what cannot be traded."""

import numpy as np

from alphaloom.errors import DataError
from alphaloom.portfolio.base import Decision
from alphaloom.typing import Bools, Doubles

EMPTY = 1e-12
"""Weights below this are no holding."""


def require_scores(decision: Decision) -> Bools:
    """Return which stocks `[N]` have a score.

    Raises:
        DataError: none has.
    """
    scored = np.isfinite(decision.score)
    if not scored.any():
        raise DataError(
            f"No stock has a score on {decision.date}: no portfolio can be chosen. Decide only on dates with scores."
        )
    return scored


def pinned(decision: Decision) -> Bools:
    """Return which holdings `[N]` cannot be sold and therefore stay as they are."""
    return (decision.current > EMPTY) & ~decision.can_sell


def ranked(score: Doubles, chosen: Bools) -> np.ndarray:
    """Return the positions of the chosen stocks, best score first; ties in the order of the symbols."""
    names = np.flatnonzero(chosen)
    return names[np.argsort(-score[names], kind="stable")]


def allocate(decision: Decision, shares: Doubles, limit: Doubles | float = np.inf) -> Doubles:
    """Return weights `[N]`: what is pinned stays; the rest of 1 goes to the stocks in proportion to `shares`.

    `shares [N]` is non-negative, 0 where nothing is wanted; `limit [N]` is the most that a stock gets. One that cannot
    be bought gets no more than it has either; what it leaves is spread over the others. Cash remains only when no
    wanted stock can take it.
    """
    weights = np.where(pinned(decision), decision.current, 0.0)
    most = np.minimum(limit, np.where(decision.can_buy, np.inf, decision.current))
    open_ = (shares > 0) & ~pinned(decision) & (most > 0)
    left = max(0.0, 1.0 - float(weights.sum()))
    while open_.any() and left > EMPTY:
        part = left * np.where(open_, shares, 0.0) / shares[open_].sum()
        full = open_ & (part >= most)
        if not full.any():
            weights[open_] = part[open_]
            return weights
        weights[full] = most[full]
        left -= float(most[full].sum())
        open_ &= ~full
    return weights

"""Which stocks a problem is solved over first: a few hundred can be in the optimum, thousands cannot.

Stocks that neither are held nor must be may be left out at weight 0. After a solve the prices of the limits tell what
each of them would add; those that would add anything are taken in, until none is left. The result is then the optimum
over all stocks, which the duality gap over all of them confirms.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from alphaloom.portfolio.solve.bound import bound
from alphaloom.portfolio.solve.names import eagerness, slopes
from alphaloom.portfolio.solve.problem import OPTIMAL, Prices, Problem, Solution
from alphaloom.portfolio.solve.rows import Groups
from alphaloom.typing import Bools, Doubles, Ints

WARM = 60
"""Stocks beside the holdings when prices of an earlier solve are known."""
COLD = 300
"""Stocks beside the holdings otherwise."""
MORE = 300
"""Stocks taken in by one round of pricing at most."""
GAIN = 1e-11
"""What all stocks left out may add to the objective together."""
MOST_ROUNDS = 60

Solver = Callable[[Problem, Prices | None], Solution]


def first_set(p: Problem, start: Prices | None) -> Ints:
    """Return the stocks to begin with: all that are held or must be, and the most promising of the others."""
    free = np.flatnonzero(p.stays & (p.high > p.low))
    chosen = ~p.stays
    wanted = WARM if start is not None else COLD
    if free.size <= wanted:
        chosen[free] = True
        return np.flatnonzero(chosen)
    promise = eagerness(p, slopes(p, start or none(p)))[free]
    chosen[free[_best(promise, wanted)]] = True
    if start is None:
        for block in p.rows.blocks:
            if isinstance(block, Groups):
                chosen[free[_best(promise - _mean_of_group(block, free, promise), wanted // 2)]] = True
    return np.flatnonzero(chosen)


def none(p: Problem) -> Prices:
    """Return prices of zero."""
    factors = 0 if p.risk is None else p.risk.root.shape[1]
    return Prices(np.zeros(p.rows.count), np.zeros(len(p.bends)), np.zeros(factors))


def absentees(p: Problem, prices: Prices, inside: Bools) -> tuple[Ints, float]:
    """Return the stocks outside that would add most, none if all would add nothing, and the dual objective."""
    found = bound(p, prices)
    gain = np.where(inside, 0.0, found.gain)
    if not gain.sum() > GAIN:
        return np.zeros(0, dtype=np.int64), found.value
    better = np.flatnonzero(gain > GAIN / max(1, gain.size))
    return better[_best(gain[better], MORE)], found.value


def priced(
    p: Problem, start: Prices | None, solver: Solver, *, include: Bools | None = None, widen: bool = True
) -> Solution:
    """Return the optimum over all stocks by solving for some, pricing the others and taking in those that help.

    The stocks `include [N]` are among those some. With `widen`, a restricted problem without solution is tried again
    with all stocks.
    """
    inside = np.zeros(p.size, dtype=np.bool_)
    inside[first_set(p, start)] = True
    if include is not None:
        inside |= include
    stocks = np.flatnonzero(inside)
    rounds = 0
    while True:
        whole = stocks.size == p.size
        found = solver(p if whole else p.take(stocks), start)
        rounds += found.rounds
        if found.status != OPTIMAL:
            if whole or not widen or rounds > MOST_ROUNDS:
                return replace(found, weights=p.current, rounds=rounds)
            stocks = np.arange(p.size)
            continue
        weights = np.zeros(p.size)
        weights[stocks] = found.weights
        more, least = absentees(p, found.prices, inside)
        if whole or not more.size or rounds > MOST_ROUNDS:
            return replace(found, weights=weights, rounds=rounds, columns=stocks.size, least=least)
        inside[more] = True
        stocks, start = np.flatnonzero(inside), found.prices


def _best(values: Doubles, count: int) -> Ints:
    return np.argpartition(-values, count)[:count] if values.size > count else np.arange(values.size)


def _mean_of_group(block: Groups, stocks: Ints, values: Doubles) -> Doubles:
    codes, finite = block.codes[stocks], np.where(np.isfinite(values), values, 0.0)
    total = np.bincount(codes, finite, minlength=len(block.names))
    count = np.bincount(codes, minlength=len(block.names))
    return (total / np.maximum(count, 1))[codes]

"""A limit on the variance, by search for its price: at the right one, the optimum without the limit just meets it.

With the limit priced at m the problem has risk aversion `aversion + m`, and the variance of its optimum falls as m
rises. One over the square root of the variance is nearly a straight line in m, so that secant steps on it, kept within
a bracket, end after a handful of solves, each started from the last.
"""

from dataclasses import dataclass, replace

import numpy as np

from alphaloom.portfolio.solve.problem import INFEASIBLE, OPTIMAL, Prices, Problem, Solution
from alphaloom.portfolio.solve.restrict import Solver

CLOSE = 1e-10
"""How near to the limit the variance must come, as a share of it."""
MOST_SOLVES = 40
PATIENCE = 4
"""Secant steps that may fail to halve the bracket."""
NEGLIGIBLE = 1e-6
"""A price below this share of the first guess counts as none."""
FAR = 1e9
"""A price this many times the first guess means that no weights meet the limit."""


def solve_tracked(p: Problem, start: Prices | None, solver: Solver) -> Solution:
    """Return the optimum within the variance limit, or the status of the solve that failed.

    `solver` takes the problem without the limit; with risk aversion and impact 0 it must take a linear one.
    """
    assert p.risk is not None
    search, guess = _Search(p.risk.most), _guess(p)
    known = start is not None and start.variance > NEGLIGIBLE * guess
    price = start.variance if start is not None and known else 0.0
    rounds, last = 0, start
    for _ in range(MOST_SOLVES):
        found = _at(p, price, last, solver)
        rounds += found.rounds
        if found.status != OPTIMAL:
            return replace(found, rounds=rounds)
        variance = p.risk.variance(found.weights)
        met = variance <= p.risk.most * (1.0 + CLOSE)
        if met and (price == 0.0 or variance >= p.risk.most * (1.0 - CLOSE)):
            return replace(found, rounds=rounds)
        search.narrow(price, variance)
        if price > 0:
            last = found.prices
        elif not known:
            last = None  # a linear optimum's prices are far from those of a curved problem
        if search.high is None and price > FAR * guess:
            return replace(found, status=INFEASIBLE, rounds=rounds)
        price = search.next(guess)
    return replace(found, status="no convergence on the variance limit", rounds=rounds)


def _at(p: Problem, price: float, start: Prices | None, solver: Solver) -> Solution:
    assert p.risk is not None
    risk = replace(p.risk, aversion=p.risk.aversion + price, most=np.inf)
    found = solver(replace(p, risk=risk), start)
    return replace(found, prices=replace(found.prices, variance=price), least=None)


def _guess(p: Problem) -> float:
    """Return the price at which each stock alone would use up the limit, without other limits: rather too high."""
    assert p.risk is not None
    open_ = (p.risk.specific > 0) & (p.high > p.low)
    ratio = float((p.alpha[open_] ** 2 / p.risk.specific[open_]).max(initial=0.0))
    return float(np.sqrt(ratio / max(p.risk.most, 1e-300)) / 2.0) or 1.0


@dataclass
class _Search:
    """The bracket: a price too low (variance above the limit) and one high enough, with their variances."""

    most: float
    low: tuple[float, float] | None = None
    high: tuple[float, float] | None = None
    last: tuple[float, float] | None = None
    before: tuple[float, float] | None = None
    stride: float = 2.0
    width: float = np.inf
    patience: int = 0

    def narrow(self, price: float, variance: float) -> None:
        """Take in what a solve told."""
        self.before, self.last = self.last, (price, variance)
        if variance > self.most:
            self.low = self.last
        else:
            self.high = self.last

    def next(self, guess: float) -> float:
        """Return the next price to try: by secant, or by halves where the bracket does not shrink well.

        `guess` is tried when no price but zero was.
        """
        if self.low is None:
            return 0.0
        if self.high is None:
            self.stride *= 1.5
            return self.low[0] * self.stride if self.low[0] > 0 else guess
        a, b = self.low[0], self.high[0]
        self.patience = 0 if b - a <= 0.5 * self.width else self.patience + 1
        if self.patience == 0:
            self.width = b - a
        cut = self._secant()
        if self.patience < PATIENCE and a < cut < b:
            return cut
        self.patience, self.width = 0, b - a
        return float(np.sqrt(a * b)) if a > 0 and b > 4 * a else 0.5 * (a + b)

    def _secant(self) -> float:
        """Return where the line through the last two points meets the limit, on the scale of 1 / sqrt(variance)."""
        if self.before is None or self.last is None:
            return float("nan")
        (x, vx), (y, vy) = self.before, self.last
        fx, fy = vx**-0.5, vy**-0.5
        return x + (y - x) * (self.most**-0.5 - fx) / (fy - fx) if fy != fx else float("nan")

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
FAR = 1e9
"""A price this many times the first guess means that no weights meet the limit."""


def solve_tracked(p: Problem, start: Prices | None, solver: Solver) -> Solution:
    """Return the optimum within the variance limit, or the status of the solve that failed.

    `solver` takes the problem without the limit; with risk aversion and impact 0 it must take a linear one.
    """
    assert p.risk is not None
    search = _Search(p.risk.most)
    last = start
    if start is None or start.variance == 0.0:
        found = _at(p, 0.0, start, solver)
        if found.status != OPTIMAL or p.risk.variance(found.weights) <= p.risk.most * (1.0 + CLOSE):
            return found
        search.low, last = (0.0, p.risk.variance(found.weights)), None
    price = start.variance if start is not None and start.variance > 0 else _guess(p)
    first, rounds = price, 0
    for _ in range(MOST_SOLVES):
        found = _at(p, price, last, solver)
        rounds += found.rounds
        if found.status != OPTIMAL:
            return found
        last, variance = found.prices, p.risk.variance(found.weights)
        if abs(variance - p.risk.most) <= CLOSE * p.risk.most:
            return replace(found, rounds=rounds)
        search.narrow(price, variance)
        if search.high is None and price > FAR * first:
            return replace(found, status=INFEASIBLE, rounds=rounds)
        if search.low is None and price < first / FAR:
            return _at(p, 0.0, last, solver)
        price = search.next()
    return replace(found, status="no convergence on the variance limit", rounds=rounds)


def _at(p: Problem, price: float, start: Prices | None, solver: Solver) -> Solution:
    assert p.risk is not None
    risk = replace(p.risk, aversion=p.risk.aversion + price, most=np.inf)
    found = solver(replace(p, risk=risk), start)
    return replace(found, prices=replace(found.prices, variance=price))


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

    def next(self) -> float:
        """Return the next price to try: by secant, or by halves where the bracket does not shrink well."""
        assert self.last is not None
        if self.low is None or self.high is None:
            self.stride *= 1.5
            return self.last[0] * (self.stride if self.high is None else 1.0 / self.stride)
        a, b = self.low[0], self.high[0]
        self.patience = 0 if b - a <= 0.5 * self.width else self.patience + 1
        if self.patience == 0:
            self.width = b - a
        guess = self._secant()
        if self.patience < PATIENCE and a < guess < b:
            return guess
        self.patience, self.width = 0, b - a
        return float(np.sqrt(a * b)) if a > 0 and b > 4 * a else 0.5 * (a + b)

    def _secant(self) -> float:
        """Return where the line through the last two points meets the limit, on the scale of 1 / sqrt(variance)."""
        if self.before is None or self.last is None:
            return float("nan")
        (x, vx), (y, vy) = self.before, self.last
        fx, fy = vx**-0.5, vy**-0.5
        return x + (y - x) * (self.most**-0.5 - fx) / (fy - fx) if fy != fx else float("nan")

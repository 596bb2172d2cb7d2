"""Quadratic problems in factor form by a semismooth Newton method on the prices of the limits.

At fixed prices each stock's weight has a formula (`names.py`), so the unknowns are the prices alone: one a row, one a
bend, one a factor, some eighty, whatever the number of stocks. The dual objective is concave and, apart from kinks
where the price of a limit crosses zero, smooth with a piecewise smooth gradient: what the limits' sums are at the
stocks' best weights, less the limits. Each step maximises its quadratic model exactly, kinks included, by guessing
which limits bind and correcting the guess; a multiple of the identity, raised when a step does not keep its promise and
lowered when it does, keeps steps short where few stocks are free to move. With piecewise linear gradients the last step
is exact.

Source: semismooth Newton on the dual, after Qi and Sun (2006, Mathematical Programming 105) and Li, Sun and Toh (2018,
SIAM J. Optimization 28), here with the kinks of two-sided limits in the model and Levenberg-Marquardt damping.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg.lapack import dposv

from alphaloom.portfolio.solve.bound import bend_value, lawful
from alphaloom.portfolio.solve.names import Response, bent, respond
from alphaloom.portfolio.solve.problem import OPTIMAL, Prices, Problem, Solution
from alphaloom.portfolio.solve.restrict import none
from alphaloom.typing import Bools, Doubles

NAME = "dual newton"
TOLERANCE = 1e-11
"""Largest distance of a sum from its limit at the end, a fraction of the portfolio."""
MOST_STEPS = 40
UNSOLVED = "no convergence"
COLD_STAGES = (300.0, 30.0, 3.0)
"""Without earlier prices, specific variances are first this many times as large: more stocks are then free to move."""
LEAST_DAMPING, FIRST_DAMPING, MORE_DAMPING = 1e-12, 1e-6, 30.0
"""Shares of the largest curvature that are added: always, at the first failure, and times this at each further one."""
MOST_TRIES = 12
LENGTHS = (1.0, 0.4, 0.16, 0.064)
"""Parts of a step that are tried."""
GUESSES = 40
"""Corrections of which limits bind within one step."""


def can_newton(p: Problem) -> bool:
    """Return whether every stock that may trade has a curved objective of its own, and no limit gives way."""
    if p.slack or (p.risk is None and not p.has_impact):
        return False
    curved = p.impact > 0
    if p.risk is not None:
        curved = curved | (p.risk.aversion * p.risk.specific > 0)
    return bool((curved | (p.high <= p.low)).all())


def solve_newton(p: Problem, start: Prices | None = None) -> Solution:
    """Return the optimum, or status `no convergence`: limits that exclude each other, or a nearly linear problem."""
    dual, steps = _Dual(p), 0
    y = dual.join(lawful(p, start or none(p)))
    if start is None and p.risk is not None:
        for factor in COLD_STAGES:
            eased = replace(p, risk=replace(p.risk, specific=factor * p.risk.specific))
            found = _maximise(_Dual(eased), y, 1e-4)
            y, steps = found.point.prices, steps + found.steps
    found = _maximise(dual, y, TOLERANCE)
    status, point = OPTIMAL if found.done else UNSOLVED, found.point
    return Solution(status, point.response.weights, dual.split(point.prices), NAME, p.size, steps + found.steps)


@dataclass(frozen=True, eq=False)
class _Point:
    """The dual objective at some prices. Arrays are `[M]`, limits first, then factors."""

    prices: Doubles
    value: float
    kinks: float
    """What the limits are worth at their prices: part of the value that is not smooth."""
    gradient: Doubles
    """Of the smooth part: the limits' sums, and what the factors' loads lack."""
    response: Response


class _Dual:
    """The dual objective of a problem: a smooth part, and the kinked prices of limits."""

    def __init__(self, p: Problem) -> None:
        self.p = p
        self.rows, self.limits = p.rows.count, p.rows.count + len(p.bends)
        factors = 0 if p.risk is None or p.risk.aversion == 0 else p.risk.root.shape[1]
        self.size = self.limits + factors
        self.low = np.concatenate([p.rows.low, np.full(len(p.bends), -np.inf)])
        self.high = np.concatenate([p.rows.high, [bend.most for bend in p.bends]])
        self.fixed: Bools = self.low == self.high
        self.sides = np.where(np.isfinite([self.low, self.high]), [self.low, self.high], 0.0)
        """`[2, limits]`: the bounds, 0 for none."""
        self.loads = np.zeros((p.size, self.size))
        """Every stock's entries in the rows, and its loads on the factors' roots; bends stay 0."""
        p.rows.fill(self.loads[:, : self.rows])
        self.aversion = 0.0
        self.square = np.zeros(p.size)
        self.offset = np.zeros(factors)
        if p.risk is not None and factors:
            self.loads[:, self.limits :] = p.risk.exposures.T @ p.risk.root
            self.offset, self.aversion = p.risk.offset, p.risk.aversion
        if p.risk is not None:
            self.square = p.risk.aversion * p.risk.specific

    def join(self, prices: Prices) -> Doubles:
        """Return prices as one vector `[M]`."""
        return np.concatenate([prices.rows, prices.bends, prices.factors[: self.size - self.limits]])

    def split(self, y: Doubles) -> Prices:
        """Return the vector's prices by kind."""
        factors = np.zeros(0 if self.p.risk is None else self.p.risk.root.shape[1])
        factors[: self.size - self.limits] = y[self.limits :]
        return Prices(y[: self.rows], y[self.rows : self.limits], factors)

    def kinks(self, y: Doubles) -> float:
        """Return what the limits are worth at their lawful prices: `high y` above zero, `low y` below."""
        z = y[: self.limits]
        return float(np.where(z > 0, self.sides[1], self.sides[0]) @ z)

    def at(self, y: Doubles) -> _Point:
        """Return value, gradient and the stocks' weights at prices `y`."""
        p = self.p
        s = bent(p, y[self.rows : self.limits], self.loads @ y - p.alpha, self.square)
        response, kinks = respond(p, s), self.kinks(y)
        value = float(response.values.sum()) - kinks
        gradient = response.weights @ self.loads
        for k, bend in enumerate(p.bends):
            gradient[self.rows + k] = bend_value(bend, response.weights, p.current)
        if self.size > self.limits:
            f = y[self.limits :]
            value -= float(f @ f) / (4.0 * self.aversion) + float(f @ self.offset)
            gradient[self.limits :] -= self.offset + f / (2.0 * self.aversion)
        return _Point(y, value, kinks, gradient, response)

    def residual(self, point: _Point) -> float:
        """Return the largest distance of a sum from where its price says it is."""
        z, sums = point.prices[: self.limits], point.gradient[: self.limits]
        goal = np.clip(sums, np.where(z > 0, self.high, self.low), np.where(z < 0, self.low, self.high))
        off = np.abs(sums - goal).max(initial=0.0)
        return float(max(off, np.abs(point.gradient[self.limits :]).max(initial=0.0)))

    def curvature(self, response: Response) -> Doubles:
        """Return minus the second derivative `[M, M]` of the smooth part."""
        stocks = np.flatnonzero(response.moves)
        entries = self.loads[stocks]
        up, long = response.up[stocks], response.weights[stocks] > 0
        for k, bend in enumerate(self.p.bends):
            rising = up if bend.at == "current" else long
            entries[:, self.rows + k] = np.where(rising, bend.up, -bend.down)
        H = entries.T @ (entries / response.curvature[stocks, None])
        if self.size > self.limits:
            factors = np.arange(self.limits, self.size)
            H[factors, factors] += 0.5 / self.aversion
        return H

    def best_step(self, point: _Point, H: Doubles) -> Doubles:
        """Return the step `[M]` that maximises the quadratic model around a point, the kinks kept.

        A limit is guessed to bind above, below or not; prices of the wrong sign and sums beyond their limits correct
        the guess, at first all at once, then the first alone, which ends (Murty's rule).

        Raises:
            LinAlgError: the second derivative is not negative definite.
        """
        m, z, sums = self.limits, point.prices[: self.limits], point.gradient[: self.limits]
        state = np.sign(z)
        idle = state == 0
        state[idle & (sums > self.high)] = 1
        state[idle & (sums < self.low)] = -1
        state[self.fixed] = 1
        free = np.ones(self.size, dtype=np.bool_)
        for guess in range(GUESSES):
            free[:m] = state != 0
            on = np.flatnonzero(free)
            step = np.where(free, 0.0, -point.prices)
            rest = point.gradient - H @ step
            rest[:m] -= np.where(state > 0, self.high, self.low)
            _, step[on], failed = dposv(H[on[:, None], on].T, rest[on])
            if failed:
                raise np.linalg.LinAlgError("not negative definite")
            new, ahead = z + step[:m], (point.gradient - H @ step)[:m]
            better = state.copy()
            better[state * new < 0] = 0
            better[(state == 0) & (ahead > self.high + 1e-13)] = 1
            better[(state == 0) & (ahead < self.low - 1e-13)] = -1
            better[self.fixed] = 1
            changed = np.flatnonzero(better != state)
            if not changed.size:
                break
            if guess > GUESSES // 4:
                changed = changed[:1]
            state[changed] = better[changed]
        unlawful = ((new > 0) & np.isinf(self.high)) | ((new < 0) & np.isinf(self.low))
        step[:m][unlawful] = -z[unlawful]
        return step


@dataclass(frozen=True, eq=False)
class _Found:
    """The best point found, whether it is the optimum, and the number of steps to it."""

    point: _Point
    done: bool
    steps: int


def _maximise(dual: _Dual, y: Doubles, tolerance: float) -> _Found:
    here, damping = dual.at(y), LEAST_DAMPING
    for step in range(MOST_STEPS):
        if dual.residual(here) < tolerance:
            return _Found(here, True, step)
        found = _step(dual, here, damping)
        if found is None:
            return _Found(here, False, step)
        here, damping = found
    return _Found(here, dual.residual(here) < tolerance, MOST_STEPS)


def _step(dual: _Dual, here: _Point, damping: float) -> tuple[_Point, float] | None:
    """Return the next point and the damping to go on with; None when no step improves.

    A step that does not keep its promise is shortened a few times, then made anew with more damping.
    """
    H, y = dual.curvature(here.response), here.prices
    diagonal = H.diagonal().copy()
    size = max(float(diagonal.max()), 1e-12)
    for _ in range(MOST_TRIES):
        np.fill_diagonal(H, diagonal + damping * size)
        try:
            move = dual.best_step(here, H)
        except np.linalg.LinAlgError:  # too few stocks move for so little damping
            damping = max(MORE_DAMPING * damping, FIRST_DAMPING)
            continue
        promise = here.gradient @ move - 0.5 * move @ H @ move - dual.kinks(y + move) + here.kinks
        for length in LENGTHS:
            there = dual.at(y + length * move)
            if there.value >= here.value + 1e-4 * length * promise - 1e-14 * max(1.0, abs(here.value)):
                if length == 1.0:
                    damping = max(0.1 * damping, LEAST_DAMPING)
                elif length == LENGTHS[-1]:
                    damping = max(MORE_DAMPING * damping, FIRST_DAMPING)
                return there, damping
        damping = max(MORE_DAMPING * damping, FIRST_DAMPING)
    return None

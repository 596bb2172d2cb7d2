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

from alphaloom.portfolio.solve.bound import bend_value, lawful
from alphaloom.portfolio.solve.names import Response, bent, respond, values
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
            y, _, taken = _maximise(_Dual(eased), y, 1e-4)
            steps += taken
    y, done, taken = _maximise(dual, y, TOLERANCE)
    point = dual.at(y)
    status = OPTIMAL if done else UNSOLVED
    return Solution(status, point.response.weights, dual.split(y), NAME, p.size, steps + taken)


@dataclass(frozen=True, eq=False)
class _Point:
    """The dual objective at some prices. Arrays are `[M]`, limits first, then factors."""

    value: float
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
        """Return what the limits are worth at their prices: `high y` above zero, `low y` below."""
        z = y[: self.limits]
        side = np.where(z > 0, self.high, self.low)
        used = z != 0
        return float(z[used] @ side[used])

    def at(self, y: Doubles) -> _Point:
        """Return value, gradient and the stocks' weights at prices `y`."""
        p = self.p
        s = bent(p, y[self.rows : self.limits], self.loads @ y - p.alpha, self.square)
        response = respond(p, s)
        value = float(values(p, s, response.weights).sum()) - self.kinks(y)
        gradient = response.weights @ self.loads
        for k, bend in enumerate(p.bends):
            gradient[self.rows + k] = bend_value(bend, response.weights, p.current)
        if self.size > self.limits:
            f = y[self.limits :]
            value -= float(f @ f) / (4.0 * self.aversion) + float(f @ self.offset)
            gradient[self.limits :] -= self.offset + f / (2.0 * self.aversion)
        return _Point(value, gradient, response)

    def residual(self, y: Doubles, gradient: Doubles) -> float:
        """Return the largest distance of a sum from where its price says it is."""
        z, a = y[: self.limits], gradient[: self.limits]
        inside = np.maximum(a - self.high, 0.0) - np.maximum(self.low - a, 0.0)
        off = np.where(z > 0, a - self.high, np.where(z < 0, a - self.low, inside))
        off[self.fixed] = (a - self.high)[self.fixed]
        return float(max(np.abs(off).max(initial=0.0), np.abs(gradient[self.limits :]).max(initial=0.0)))

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

    def best_of_model(self, y: Doubles, gradient: Doubles, H: Doubles) -> Doubles:
        """Return the prices that maximise the quadratic model around `y`, the kinks kept.

        The factors' prices are free and leave by elimination. A limit is guessed to bind above, below or not; prices of
        the wrong sign and sums beyond their limits correct the guess, at first all at once, then the first alone, which
        ends (Murty's rule).
        """
        m = self.limits
        across, sums = H[:m, m:], gradient[:m]
        eliminated = np.linalg.solve(H[m:, m:], np.column_stack([H[m:, :m], gradient[m:]]))
        S = H[:m, :m] - across @ eliminated[:, :-1]
        sums = sums - across @ eliminated[:, -1]
        step = self._limits_step(y[:m], gradient[:m], sums, S)
        factors = y[m:] + eliminated[:, -1] - eliminated[:, :-1] @ step
        return np.concatenate([y[:m] + step, factors])

    def _limits_step(self, z: Doubles, now: Doubles, sums: Doubles, S: Doubles) -> Doubles:
        """Return the step of the limits' prices `z`; their sums are `now` and in the model `sums - S step`."""
        state = np.sign(z)
        state[(z == 0) & (now > self.high)] = 1
        state[(z == 0) & (now < self.low)] = -1
        state[self.fixed] = 1
        step = -z
        for guess in range(GUESSES):
            on = np.flatnonzero(state)
            goal = np.where(state > 0, self.high, self.low)[on]
            step = np.where(state == 0, -z, 0.0)
            rest = (sums - S @ step)[on] - goal
            step[on] = np.linalg.solve(S[on[:, None], on], rest)
            new, ahead = z + step, sums - S @ step
            better = state.copy()
            better[((state > 0) & (new < 0)) | ((state < 0) & (new > 0))] = 0
            better[(state == 0) & (ahead > self.high + 1e-13)] = 1
            better[(state == 0) & (ahead < self.low - 1e-13)] = -1
            better[self.fixed] = 1
            changed = np.flatnonzero(better != state)
            if not changed.size:
                break
            if guess > GUESSES // 4:
                changed = changed[:1]
            state[changed] = better[changed]
        new = z + step
        unlawful = ~self.fixed & (((new > 0) & np.isinf(self.high)) | ((new < 0) & np.isinf(self.low)))
        step[unlawful] = -z[unlawful]
        return step


def _maximise(dual: _Dual, y: Doubles, tolerance: float) -> tuple[Doubles, bool, int]:
    """Return the best prices found, whether they are the optimum, and the number of steps."""
    here, damping = dual.at(y), LEAST_DAMPING
    for step in range(MOST_STEPS):
        if dual.residual(y, here.gradient) < tolerance:
            return y, True, step
        found = _step(dual, y, here, damping)
        if found is None:
            return y, False, step
        y, here, damping = found
    return y, dual.residual(y, here.gradient) < tolerance, MOST_STEPS


def _step(dual: _Dual, y: Doubles, here: _Point, damping: float) -> tuple[Doubles, _Point, float] | None:
    """Return the next prices, their point and the damping to go on with; None when no step improves.

    A step that does not keep its promise is shortened a few times, then made anew with more damping.
    """
    H = dual.curvature(here.response)
    size = max(float(H.diagonal().max()), 1e-12)
    for _ in range(MOST_TRIES):
        damped = H.copy()
        damped[np.diag_indices(dual.size)] += damping * size
        try:
            move = dual.best_of_model(y, here.gradient, damped) - y
        except np.linalg.LinAlgError:  # too few stocks move for so little damping
            damping = max(MORE_DAMPING * damping, FIRST_DAMPING)
            continue
        promise = here.gradient @ move - 0.5 * move @ damped @ move - dual.kinks(y + move) + dual.kinks(y)
        for length in LENGTHS:
            new = y + length * move
            there = dual.at(new)
            if there.value >= here.value + 1e-4 * length * promise - 1e-14 * max(1.0, abs(here.value)):
                if length == 1.0:
                    damping = max(0.1 * damping, LEAST_DAMPING)
                elif length == LENGTHS[-1]:
                    damping = max(MORE_DAMPING * damping, FIRST_DAMPING)
                return new, there, damping
        damping = max(MORE_DAMPING * damping, FIRST_DAMPING)
    return None

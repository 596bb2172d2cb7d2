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

import numpy as np

from alphaloom.kernels.dual_newton import Dual, maximise
from alphaloom.portfolio.solve.bound import lawful
from alphaloom.portfolio.solve.problem import OPTIMAL, Prices, Problem, Solution
from alphaloom.portfolio.solve.restrict import none

NAME = "dual newton"
TOLERANCE = 1e-11
"""Largest distance of a sum from its limit at the end, a fraction of the portfolio."""
MOST_STEPS = 80
UNSOLVED = "no convergence"
COLD_STAGES = (300.0, 30.0, 3.0)
"""Without earlier prices, specific variances are first this many times as large: more stocks are then free to move."""


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
    dual, R, B = _dual(p), p.rows.count, len(p.bends)
    prices = lawful(p, start or none(p))
    factors = np.zeros(0 if p.risk is None else p.risk.root.shape[1])
    y = np.concatenate([prices.rows, prices.bends, prices.factors[: dual.offset.size]])
    weights, steps = np.empty(p.size), 0
    if start is None and p.risk is not None:
        for factor in COLD_STAGES:
            eased = dual._replace(square=factor * dual.square)
            steps += maximise(eased, p.stocks, y, weights, 1e-4, MOST_STEPS)[1]
    done, taken = maximise(dual, p.stocks, y, weights, TOLERANCE, MOST_STEPS)
    factors[: dual.offset.size] = y[R + B :]
    found = Prices(y[:R], y[R : R + B], factors)
    return Solution(OPTIMAL if done else UNSOLVED, weights, found, NAME, p.size, steps + taken)


def _dual(p: Problem) -> Dual:
    """Return the dual objective; factors have prices where variance has one."""
    R, B = p.rows.count, len(p.bends)
    priced = p.risk is not None and p.risk.aversion > 0.0
    factors = p.risk.root.shape[1] if p.risk is not None and priced else 0
    loads = np.zeros((p.size, R + B + factors))
    p.rows.fill(loads[:, :R])
    square, offset, aversion = np.zeros(p.size), np.zeros(0), 0.0
    if p.risk is not None and priced:
        loads[:, R + B :] = p.risk.exposures.T @ p.risk.root
        square, offset, aversion = p.risk.aversion * p.risk.specific, p.risk.offset, p.risk.aversion
    return Dual(
        loads,
        p.alpha,
        square,
        np.concatenate([p.rows.low, np.full(B, -np.inf)]),
        np.concatenate([p.rows.high, [bend.most for bend in p.bends]]),
        np.array([(float(bend.at == "zero"), bend.up, bend.down) for bend in p.bends]).reshape(B, 3),
        offset,
        aversion,
    )

"""Proof that weights are what a solver says they are, from the weights and the prices alone."""

import numpy as np

from alphaloom.portfolio.solve.bound import bend_value, bound
from alphaloom.portfolio.solve.problem import Certificate, Problem, Solution

FEASIBLE = 1e-8
"""Largest violation of a limit that passes, a fraction of the portfolio (of the volatility, for a variance limit)."""
BEST = 1e-8
"""Largest duality gap that passes, in the problem's units: standard deviations of alpha."""


def holds(proof: Certificate) -> bool:
    """Return whether violation and gap are within their tolerances."""
    return proof.violation <= FEASIBLE and abs(proof.gap) <= BEST


def certify(p: Problem, s: Solution) -> Certificate:
    """Return the certificate of a solution; limits that give way count their slack, at its price, to the objective."""
    slack = {item.label: s.slack.get(item.label, 0.0) for item in p.slack}
    cost = sum(item.cost * slack[item.label] for item in p.slack)
    least = bound(p, s.prices).value if s.least is None else s.least
    return Certificate(violation(p, s), p.objective(s.weights) + cost - least)


def violation(p: Problem, s: Solution) -> float:
    """Return the largest violation of a limit that does not give way, and of slack beyond its sum."""
    loose = {item.label for item in p.slack}
    w = s.weights
    sums = p.rows.activity(w)
    off = np.maximum(sums - p.rows.high, p.rows.low - sums)
    for label in loose:
        off[p.rows.of(label)] = 0.0
    worst = float(off.max(initial=0.0))
    for bend in p.bends:
        if bend.label not in loose:
            worst = max(worst, bend_value(bend, w, p.current) - bend.most)
    low, high = p.beyond()[-1][1:] if p.slack and p.beyond() else (p.low, p.high)
    worst = max(worst, float(np.maximum(w - high, low - w).max(initial=0.0)))
    if p.risk is not None and np.isfinite(p.risk.most):
        worst = max(worst, float(np.sqrt(p.risk.variance(w)) - np.sqrt(p.risk.most)))
    return max([worst, *(s.slack.get(item.label, 0.0) - item.most for item in p.slack)])

"""Which solver takes a problem, and which one takes over when its result fails the certificate."""

from dataclasses import replace

import numpy as np

from alphaloom.portfolio.solve.certificate import certify, holds
from alphaloom.portfolio.solve.conic import solve_conic
from alphaloom.portfolio.solve.linear import solve_linear
from alphaloom.portfolio.solve.newton import can_newton, solve_newton
from alphaloom.portfolio.solve.problem import INFEASIBLE, OPTIMAL, Prices, Problem, Solution
from alphaloom.portfolio.solve.restrict import priced
from alphaloom.portfolio.solve.tracking import solve_tracked


def solve(p: Problem, start: Prices | None = None) -> Solution:
    """Return the optimum, proven by its certificate, or status `infeasible`, or the words of the last solver.

    Linear problems go to the simplex, curved ones to Newton's method on the dual, a variance limit to a search over
    its price; the cone solver takes the rest, and what another solver did not finish or prove. `start` are prices of an
    earlier problem of the same form; they change the time and not the result.
    """
    found = _first_choice(p, start)
    if found.status == INFEASIBLE:
        return found
    if found.status == OPTIMAL:
        proof = certify(p, found)
        if holds(proof):
            return replace(found, proof=proof)
        reason = f"{found.solver}: violation {proof.violation:.1e}, gap {proof.gap:.1e}"
    else:
        reason = f"{found.solver}: {found.status}"
    return _second_choice(p, reason)


def is_limited(p: Problem) -> bool:
    """Return whether the variance has a limit."""
    return p.risk is not None and bool(np.isfinite(p.risk.most))


def _first_choice(p: Problem, start: Prices | None) -> Solution:
    if not is_limited(p):
        return _unlimited(p, start)
    if p.slack:
        return priced(p, start, solve_conic)
    return solve_tracked(p, start, _unlimited)


def _unlimited(p: Problem, start: Prices | None) -> Solution:
    if not p.is_curved:
        return solve_linear(p, start)
    if can_newton(p):
        return priced(p, start, solve_newton, widen=False)
    return priced(p, start, solve_conic)


def _second_choice(p: Problem, reason: str) -> Solution:
    """Return what the cone solver makes of a problem, after the simplex has looked whether there is any solution."""
    straight = solve_linear(without_curvature(p))
    if straight.status == INFEASIBLE:
        return replace(straight, reason=reason)
    include = straight.weights != 0.0 if straight.status == OPTIMAL else None
    found = priced(p, None, solve_conic, include=include)
    return replace(found, reason=reason, proof=certify(p, found) if found.status == OPTIMAL else None)


def without_curvature(p: Problem) -> Problem:
    """Return the problem without risk and impact: feasible exactly when the problem is, but for its variance limit."""
    return replace(p, risk=None, impact=np.zeros(p.size))

"""Which solver takes a problem, and which one takes over when its result fails the certificate."""

from dataclasses import replace

import numpy as np

from alphaloom.portfolio.solve.certificate import certify, holds
from alphaloom.portfolio.solve.conic import solve_conic
from alphaloom.portfolio.solve.linear import solve_highs, solve_linear
from alphaloom.portfolio.solve.newton import can_newton, solve_newton
from alphaloom.portfolio.solve.problem import INFEASIBLE, OPTIMAL, Prices, Problem, Solution
from alphaloom.portfolio.solve.restrict import priced
from alphaloom.portfolio.solve.tracking import solve_tracked


def solve(p: Problem, start: Prices | None = None) -> Solution:
    """Return the optimum, proven by its certificate, or status `infeasible`, or the words of the last solver.

    Linear problems go to the simplex, curved ones to Newton's method on the dual, a variance limit to a search over
    its price. What is not finished or not proven is given to HiGHS if it is linear, else tried once more without the
    earlier prices; at last it goes to the cone solver, after the simplex has looked whether there is any solution.
    `start` are prices of an earlier problem of the same form, without the last rows if it has fewer; they change the
    time and not the result.
    """
    if start is not None and start.rows.size < p.rows.count:
        start = replace(start, rows=np.append(start.rows, np.zeros(p.rows.count - start.rows.size)))
    found = _proven(p, _first_choice(p, start))
    if found.status == INFEASIBLE or found.proof is not None:
        return found
    reason = f"{found.solver}: {found.status}"
    is_linear = not (p.is_curved or is_limited(p))
    straight = solve_highs(p) if is_linear else solve_linear(without_curvature(p))
    proven = _proven(p, straight)
    if proven.status == INFEASIBLE or proven.proof is not None:
        return replace(proven, reason=reason)
    if start is not None:
        again = _proven(p, _first_choice(p, None))
        if again.proof is not None:
            return replace(again, reason=f"from the last prices, {reason}")
    include = straight.weights != 0.0 if straight.status == OPTIMAL else None
    return replace(_proven(p, priced(p, None, solve_conic, include=include)), reason=reason)


def _proven(p: Problem, found: Solution) -> Solution:
    """Return a solution with its certificate; one whose certificate fails has another status."""
    if found.status != OPTIMAL:
        return found
    proof = certify(p, found)
    if holds(proof):
        return replace(found, proof=proof)
    return replace(found, status=f"violation {proof.violation:.1e}, gap {proof.gap:.1e}")


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


def without_curvature(p: Problem) -> Problem:
    """Return the problem without risk and impact: feasible exactly when the problem is, but for its variance limit."""
    return replace(p, risk=None, impact=np.zeros(p.size))

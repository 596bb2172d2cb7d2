"""Problems with constraints written in cvxpy, handed to cvxpy as a whole."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from alphaloom.errors import MissingLibraryError, RunError
from alphaloom.portfolio.solve.problem import INFEASIBLE, OPTIMAL, Problem, Solution
from alphaloom.portfolio.solve.restrict import none
from alphaloom.typing import Doubles

Write = Callable[[Any], Sequence[Any]]
TOLERANCE = 1e-11


def _cvxpy() -> Any:
    try:
        import cvxpy
    except ImportError:
        raise MissingLibraryError(
            "Constraints written in cvxpy need the library cvxpy. Install it with: pip install 'alphaloom[cvxpy]'."
        ) from None
    return cvxpy


def solve_modelled(p: Problem, writes: Sequence[Write]) -> Solution:
    """Return the optimum of a problem with further constraints, each `write(weights)` for the variable `[N]`.

    Cones go to Clarabel; a linear problem with integer variables goes to HiGHS. The gap is the solver's own.

    Raises:
        MissingLibraryError: cvxpy is not installed.
        RunError: a constraint is not convex, or its form has no solver here.
    """
    cp = _cvxpy()
    weights = cp.Variable(p.size, name="weights")
    objective, constraints, slack = _native(cp, p, weights)
    constraints += [item for write in writes for item in write(weights)]
    problem = cp.Problem(cp.Minimize(objective), constraints)
    solver = cp.HIGHS if problem.is_mixed_integer() else cp.CLARABEL
    name = f"cvxpy with {solver.lower()}"
    try:
        gap = _solve(problem, solver)
    except (cp.error.DCPError, cp.error.SolverError) as error:
        raise RunError(f"cvxpy cannot solve the problem with the written constraints: {error}") from None
    if problem.status in {cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE}:
        return Solution(INFEASIBLE, p.current, none(p), name, p.size)
    if problem.status not in {cp.OPTIMAL, cp.OPTIMAL_INACCURATE}:
        return Solution(problem.status, p.current, none(p), name, p.size)
    low, high = p.beyond()[-1][1:] if p.slack and p.beyond() else (p.low, p.high)
    used = {label: float(np.sum(value.value)) for label, value in slack.items()}
    return Solution(OPTIMAL, np.clip(weights.value, low, high), none(p), name, p.size, 1, used, gap=gap)


def violation_of(write: Callable[[Any, Any], Sequence[Any]], decision: Any, weights: Doubles) -> float:
    """Return the largest violation of written constraints at given weights; variables of their own are chosen best."""
    cp = _cvxpy()
    variable = cp.Variable(weights.size)
    written = list(write(variable, decision))
    others = {id(v): v for item in written for v in item.variables() if v.id != variable.id}
    variable.value = weights
    if others:
        return 0.0 if _extends(cp, variable, written, weights) else np.inf
    return max([0.0, *(float(np.max(item.violation())) for item in written)])


def _extends(cp: Any, variable: Any, written: Sequence[Any], weights: Doubles) -> bool:
    """Return whether variables of the constraints' own exist that keep them at (nearly) these weights."""
    problem = cp.Problem(cp.Minimize(cp.norm_inf(variable - weights)), list(written))
    problem.solve(solver=cp.HIGHS if problem.is_mixed_integer() else cp.CLARABEL)
    return problem.status == cp.OPTIMAL and float(problem.value) <= 1e-7


def _solve(problem: Any, solver: str) -> float:
    """Solve, and return the difference between primal and dual objectives, or between the best and the bound."""
    mixed = problem.is_mixed_integer()
    options = {} if mixed else dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), TOLERANCE)
    data, chain, inverse = problem.get_problem_data(solver, solver_opts=options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a result short of the tolerances: the certificate decides
        raw = chain.solve_via_data(problem, data, solver_opts=options)
        problem.unpack_results(raw, chain, inverse)
    if mixed:
        info = problem.solver_stats.extra_stats
        return abs(float(info.objective_function_value) - float(info.mip_dual_bound))
    return abs(float(raw.obj_val) - float(raw.obj_val_dual))


def _native(cp: Any, p: Problem, w: Any) -> tuple[Any, list[Any], dict[str, Any]]:
    """Return objective, constraints and slack variables of the problem itself."""
    change = w - p.current
    objective = -p.alpha @ w + p.buying @ cp.pos(change) + p.selling @ cp.neg(change)
    if p.has_impact:
        objective += p.impact @ cp.power(cp.abs(change), 1.5)
    slack = {item.label: cp.Variable(_width(p, item.label), nonneg=True) for item in p.slack}
    taken = dict.fromkeys(slack, 0)

    def give(label: str, count: int) -> Any:
        taken[label] += count
        return slack[label][taken[label] - count : taken[label]]

    out = []
    for block in p.rows.blocks:
        entries, count = np.zeros((p.size, len(block.names))), len(block.names)
        block.fill(entries)
        loose = block.label in slack
        under = give(block.label, count) if loose else 0.0
        over = give(block.label, count) if loose and not block.falls_only else 0.0
        sums = entries.T @ w
        low, high = np.isfinite(block.low), np.isfinite(block.high)
        out += [(sums + under)[low] >= block.low[low], (sums - over)[high] <= block.high[high]]
    for bend in p.bends:
        x = change if bend.at == "current" else w
        off = give(bend.label, 1) if bend.label in slack else 0.0
        out.append(bend.up * cp.sum(cp.pos(x)) + bend.down * cp.sum(cp.neg(x)) - off <= bend.most)
    rise, fall, low, high = 0.0, 0.0, p.low, p.high
    for item, wide_low, wide_high in p.beyond():
        up, down = give(item.label, p.size), give(item.label, p.size)
        rise, fall = rise + up, fall + down
        out += [up <= wide_high - high, down <= low - wide_low]
        low, high = wide_low, wide_high
    out += [w <= p.high + rise, w >= p.low - fall]
    for item in p.slack:
        objective += item.cost * cp.sum(slack[item.label])
        out.append(cp.sum(slack[item.label]) <= item.most)
    if p.risk is not None:
        loads = (p.risk.exposures.T @ p.risk.root).T @ w - p.risk.offset
        own = cp.multiply(np.sqrt(p.risk.specific), w - p.risk.centre)
        objective += p.risk.aversion * (cp.sum_squares(loads) + cp.sum_squares(own))
        if np.isfinite(p.risk.most):
            out.append(cp.norm(cp.hstack([loads, own])) <= np.sqrt(p.risk.most))
    return objective, out, slack


def _width(p: Problem, label: str) -> int:
    rows = sum(len(b.names) * (1 if b.falls_only else 2) for b in p.rows.blocks if b.label == label)
    boxes = 2 * p.size * any(box.label == label for box in p.boxes)
    return max(1, rows + boxes + sum(bend.label == label for bend in p.bends))

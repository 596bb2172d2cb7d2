"""At most so many holdings: by leaving out the smallest, or by branch and bound; how far from the best is told.

Without the count the problem is convex. With the row `sum_i w_i / high_i <= count`, which any countable weights of long
portfolios keep, its optimum bounds what any allowed choice can reach; the gap of what is found is counted from there.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import highspy
import numpy as np

from alphaloom.portfolio.solve.bound import bound
from alphaloom.portfolio.solve.linear import Model
from alphaloom.portfolio.solve.problem import OPTIMAL, Box, Problem, Solution
from alphaloom.portfolio.solve.rows import Dense, Rows
from alphaloom.typing import Bools, Doubles, Ints

LABEL = "cardinality"
HELD = 1e-9
"""Weights above this count as holdings."""


@dataclass(frozen=True)
class Count:
    """At most `most` holdings; `nodes` bounds the search of the exact method."""

    most: int
    method: Literal["greedy", "mip"]
    nodes: int


Solve = Callable[[Problem], Solution]


def needed(p: Problem) -> Bools:
    """Return the stocks `[N]` that cannot be without weight."""
    return (p.low > 0) | (p.high < 0)


def solve_counted(p: Problem, count: Count, solver: Solve) -> tuple[Problem, Solution]:
    """Return the problem of the chosen stocks and its solution, with the gap to the best choice's bound.

    When more stocks must be held than the count allows, it is that many. The choice is made by solving again and again,
    each time with half of the excess stocks, the smallest, left out; where that has no solution, what is held stays
    eligible first. The exact method starts from there.
    """
    most = allowed(p, count)
    easier = _counted_row(p, most)
    relaxed = solver(easier)
    if relaxed.status != OPTIMAL:
        return easier, relaxed
    least = bound(easier, relaxed.prices).value if relaxed.least is None else relaxed.least
    if _held(relaxed.weights) <= most:
        return easier, replace(relaxed, gap=p.objective(relaxed.weights) - least)
    chosen, found = _greedy(p, relaxed.weights, most, solver)
    if count.method == "mip":
        chosen, found, least = _exact(p, chosen, found, relaxed, least, most, count.nodes, solver)
    if found.status == OPTIMAL:
        found = replace(found, gap=p.objective(found.weights) - least)
    return chosen, found


def allowed(p: Problem, count: Count) -> int:
    """Return the count that can be kept: at least what cannot be without weight."""
    return max(count.most, int(needed(p).sum()))


def largest_only(p: Problem, weights: Doubles, most: int) -> Problem:
    """Return the problem in which only the `most` largest weights, and what must be held, may be other than zero."""
    return _only(p, _largest(np.where(needed(p), np.inf, np.abs(weights)), most))


def _held(weights: Doubles) -> int:
    return int((np.abs(weights) > HELD).sum())


def _counted_row(p: Problem, most: int) -> Problem:
    """Return the problem with the row that counts; without it where short weights are possible."""
    if (p.low < 0).any():
        return p
    share = np.divide(1.0, p.high, out=np.zeros(p.size), where=p.high > HELD)
    row = Dense(LABEL, (LABEL,), share[None], np.array([-np.inf]), np.array([float(most)]))
    return replace(p, rows=Rows([*p.rows.blocks, row]))


def _only(p: Problem, keep: Bools) -> Problem:
    """Return the problem in which only some stocks may have weight."""
    return replace(p, boxes=(*p.boxes, Box(LABEL, np.where(keep, -np.inf, 0.0), np.where(keep, np.inf, 0.0))))


def _greedy(p: Problem, weights: Doubles, most: int, solver: Solve) -> tuple[Problem, Solution]:
    must, size = needed(p), np.abs(weights)
    problem, found = p, None
    while found is None or (found.status == OPTIMAL and _held(found.weights) > most):
        excess = _held(size) - most
        keep = _largest(np.where(must, np.inf, size), most + (excess // 2 if excess > 8 else 0))
        problem = _only(p, keep)
        found = solver(problem)
        size = np.abs(found.weights)
    if found.status != OPTIMAL:
        held = np.abs(p.current)
        keep = _largest(
            np.where(must, np.inf, np.where(held > HELD, 1.0 + np.abs(weights) + held, np.abs(weights))), most
        )
        problem = _only(p, keep)
        found = solver(problem)
    return problem, found


def _largest(values: Doubles, count: int) -> Bools:
    keep = np.zeros(values.size, dtype=np.bool_)
    order = np.argsort(-values, kind="stable")[:count]
    keep[order[values[order] > 0]] = True
    return keep


def _exact(
    p: Problem,
    chosen: Problem,
    found: Solution,
    relaxed: Solution,
    least: float,
    most: int,
    nodes: int,
    solver: Solve,
) -> tuple[Problem, Solution, float]:
    """Return the better of a choice found and of that of branch and bound, and the bound proven by it.

    A stock that is not held, and whose holding alone would lift the bound above what is already reached, is left out of
    the search: no better choice holds it.
    """
    reached = p.objective(found.weights) if found.status == OPTIMAL else np.inf
    prices = replace(relaxed.prices, rows=relaxed.prices.rows[:-1])
    lifted = least + np.maximum(relaxed.prices.rows[-1] - bound(p, prices).gain, 0.0)
    stocks = np.flatnonzero(~p.stays | ((p.high > 0) & (lifted <= reached)))
    value, proven, held = _branch_and_bound(p, stocks, most, nodes)
    least = max(least, min(proven, reached))
    if held is None or value >= reached:
        return chosen, found, least
    choice = _only(p, held | needed(p))
    better = solver(choice)
    return (choice, better, least) if better.status == OPTIMAL else (chosen, found, least)


def _branch_and_bound(p: Problem, stocks: Ints, most: int, nodes: int) -> tuple[float, float, Bools | None]:
    """Return the value of the best choice that HiGHS finds, its proven bound, and the stocks held."""
    model = Model(p, stocks)
    h, first = model.highs(), model.columns
    held = np.arange(first, first + stocks.size, dtype=np.int32)
    h.addVars(stocks.size, np.zeros(stocks.size), np.ones(stocks.size))
    h.changeColsIntegrality(stocks.size, held, np.full(stocks.size, highspy.HighsVarType.kInteger))
    h.addRow(-np.inf, float(most), stocks.size, held, np.ones(stocks.size))
    for stock, binary in zip(stocks.tolist(), held.tolist(), strict=True):
        columns, signs = model.columns_of(stock)
        index = np.array([*columns, binary], dtype=np.int32)
        h.addRow(-np.inf, -float(p.current[stock]), index.size, index, np.array([*signs, -p.high[stock]]))
    for name, value in (("mip_max_nodes", nodes), ("mip_rel_gap", 1e-8), ("presolve", "on"), ("solver", "choose")):
        h.setOptionValue(name, value)
    h.run()
    info, before = h.getInfo(), -float(p.alpha @ p.current)
    proven = float(info.mip_dual_bound) + before
    if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return np.inf, proven, None
    values = np.asarray(h.getSolution().col_value)[first:]
    out = np.zeros(p.size, dtype=np.bool_)
    out[stocks[values > 0.5]] = True
    return float(info.objective_function_value) + before, proven, out

"""A linear programme over trades, in compact form, solved on a restricted set of stocks and certified over all.

    maximise   alpha' w
    subject to |X (w - bench)| <= style limit, |G (w - bench)| <= industry limit, sum w = 1,
               |w - w0|_1 <= turnover limit, w >= 0, no purchase beyond the cap

written with `w = w0 + b - s`, `0 <= b <= room to buy`, `0 <= s <= w0`: K style rows, one row an industry, the budget
and the turnover, whatever the number of stocks. It is solved for the holdings and some of the best stocks; every other
stock is then priced with the rows' duals, and those that would improve the result are added, until none is left. What
comes out is the optimum over all stocks, with a bound on what any other solution could add.
"""

from dataclasses import dataclass

import numpy as np

from alphaloom.portfolio.highs import INFEASIBLE, OPTIMAL, Model
from alphaloom.typing import Doubles, Ints

FIRST = 300
"""Stocks in the first restricted set beside the holdings."""
MORE = 300
"""Stocks added in one round of pricing."""
PRICE_TOLERANCE = 1e-10
MOST_ROUNDS = 60


@dataclass(frozen=True)
class Slack:
    """Columns that give way: entry `sign [C]` in row `row [C]`, at `cost` each, their sum at most `most`.

    The slack that relaxes the cap has `room [N]` instead: purchases beyond it.
    """

    name: str
    row: Ints
    sign: Doubles
    room: Doubles | None = None
    cost: float = 0.0
    most: float = 10.0


@dataclass(frozen=True)
class Programme:
    """One date's problem. Arrays are `[N]` unless noted."""

    alpha: Doubles
    current: Doubles
    room: Doubles
    """Largest purchase, 0 where barred."""
    held: Doubles
    """Largest sale, 0 where barred."""
    styles: Doubles
    """`[K, N]`, without NaN."""
    group: Ints
    """Row of each stock's industry, 0 to `groups - 1`."""
    groups: int
    low: Doubles
    """Lower bounds of the rows `[K + groups + 2]`: styles, industries, budget, turnover."""
    high: Doubles
    slack: tuple[Slack, ...] = ()

    @property
    def budget_row(self) -> int:
        """Position of the budget's row; the turnover's follows."""
        return int(self.styles.shape[0]) + self.groups


@dataclass(frozen=True)
class Solution:
    """What a solve gives. `gap` bounds what any feasible weights could add to the objective."""

    status: str
    weights: Doubles
    slack: dict[str, float]
    gap: float
    duals: Doubles
    columns: int
    rounds: int


def solve(p: Programme, *, restricted: bool = True) -> Solution:
    """Return the optimum, or status `infeasible` (then with the current weights, not to be used)."""
    sell = np.flatnonzero(p.held > 0)
    buyable = p.room > 0
    buy = _first(p, buyable) if restricted else np.flatnonzero(buyable)
    model = Model(p.low, p.high, [slack.most for slack in p.slack])
    _add_trades(model, p, buy, 1.0, -p.alpha[buy], p.room[buy])
    _add_trades(model, p, sell, -1.0, p.alpha[sell], p.held[sell])
    for k, slack in enumerate(p.slack):
        _add_slack(model, p, k, slack)
    inside = np.zeros(p.alpha.size, dtype=np.bool_)
    inside[buy] = True
    for rounds in range(1, MOST_ROUNDS + 1):
        status = model.run()
        if status != OPTIMAL:
            if not inside[buyable].all():
                return solve(p, restricted=False)
            return Solution(status, p.current, {}, np.inf, model.duals(), model.columns, rounds)
        cost, _ = reduced_costs(p, model.duals())
        better = np.flatnonzero(buyable & ~inside & (cost < -PRICE_TOLERANCE))
        if not better.size:
            break
        if better.size > MORE:
            better = better[np.argpartition(cost[better], MORE)[:MORE]]
        inside[better] = True
        _add_trades(model, p, better, 1.0, -p.alpha[better], p.room[better])
    return _read(model, p, rounds)


def reduced_costs(p: Programme, duals: Doubles) -> tuple[Doubles, Doubles]:
    """Return the reduced costs `[N]` of a purchase and of a sale (minimising `-alpha`) under the rows' duals."""
    K, G = p.styles.shape[0], p.groups
    exposure = duals[:K] @ p.styles + duals[K : K + G][p.group] + duals[K + G]
    return -p.alpha - exposure - duals[K + G + 1], p.alpha + exposure - duals[K + G + 1]


def _first(p: Programme, buyable: np.ndarray) -> Ints:
    """Return the holdings and the most promising stocks: by alpha, and by alpha within their industry."""
    names = np.flatnonzero(buyable)
    if names.size <= FIRST:
        return names
    alpha = p.alpha[names]
    keep = p.current[names] > 0
    keep[np.argpartition(-alpha, FIRST // 2)[: FIRST // 2]] = True
    count = np.bincount(p.group[names], minlength=p.groups)
    mean = np.bincount(p.group[names], alpha, minlength=p.groups) / np.maximum(count, 1)
    rest = alpha - mean[p.group[names]]
    keep[np.argpartition(-rest, FIRST // 2)[: FIRST // 2]] = True
    return names[keep]


def _add_trades(model: Model, p: Programme, names: Ints, side: float, cost: Doubles, most: Doubles) -> None:
    values, rows = _trades(p, names, side)
    model.add("buy" if side > 0 else "sell", names, cost, most, values, rows)


def _trades(p: Programme, names: Ints, side: float) -> tuple[Doubles, np.ndarray]:
    """Return values and row numbers `[C, K + 3]` of purchase (1) or sale (-1) columns."""
    K = p.styles.shape[0]
    values, rows = np.empty((names.size, K + 3)), np.empty((names.size, K + 3), np.int32)
    values[:, :K], rows[:, :K] = side * p.styles[:, names].T, np.arange(K)
    values[:, K], rows[:, K] = side, K + p.group[names]
    values[:, K + 1], rows[:, K + 1] = side, p.budget_row
    values[:, K + 2], rows[:, K + 2] = 1.0, p.budget_row + 1
    return values, rows


def _add_slack(model: Model, p: Programme, k: int, slack: Slack) -> None:
    if slack.room is None:
        names = np.arange(slack.row.size)
        values, rows = slack.sign[:, None], slack.row[:, None].astype(np.int32)
        cost, most = np.full(names.size, slack.cost), np.full(names.size, slack.most)
    else:
        names = np.flatnonzero(slack.room > 0)
        values, rows = _trades(p, names, 1.0)
        cost, most = slack.cost - p.alpha[names], slack.room[names]
    total = p.low.size + k
    values = np.hstack([values, np.ones((names.size, 1))])
    rows = np.hstack([rows, np.full((names.size, 1), total, np.int32)])
    model.add(slack.name, names, cost, most, values, rows)


def _read(model: Model, p: Programme, rounds: int) -> Solution:
    """Return the solution with its duality gap over all stocks, not only those in the model."""
    weights, totals, objective = p.current.copy(), {slack.name: 0.0 for slack in p.slack}, 0.0
    beyond = {slack.name for slack in p.slack if slack.room is not None}
    duals, bound = model.duals(), 0.0
    for block in model.blocks():
        objective += float(block.cost @ block.values)
        if block.kind in totals:
            totals[block.kind] += float(block.values.sum())
            bound += float(np.minimum(block.reduced, 0.0) @ block.most)
        if block.kind == "buy" or block.kind in beyond:
            weights[block.names] += block.values
        elif block.kind == "sell":
            weights[block.names] -= block.values
    buy, sell = reduced_costs(p, duals)
    bound += float(np.minimum(buy, 0.0) @ p.room + np.minimum(sell, 0.0) @ p.held)
    low = np.concatenate([p.low, np.full(len(p.slack), -np.inf)])
    high = np.concatenate([p.high, [slack.most for slack in p.slack]])
    side = np.where(duals > 0, low, high)
    bound += float(duals[np.isfinite(side)] @ side[np.isfinite(side)])
    weights[np.abs(weights) < 1e-13] = 0.0
    return Solution(OPTIMAL, weights, totals, objective - bound, duals, model.columns, rounds)


__all__ = ["INFEASIBLE", "OPTIMAL", "Programme", "Slack", "Solution", "reduced_costs", "solve"]

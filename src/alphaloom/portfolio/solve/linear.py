"""Linear problems by the dual simplex, in trades: a column for each way a stock can move, a row for each limit.

The compiled simplex method of `alphaloom.kernels` works over some stocks first; columns of those left out are added to
the same programme and solved on from the last basis. What it does not solve goes to HiGHS, over all stocks.
"""

from collections.abc import Iterator

import highspy
import numpy as np

from alphaloom.kernels.dual_simplex import SOLVED, dual_simplex
from alphaloom.portfolio.solve.bound import bend_value
from alphaloom.portfolio.solve.problem import INFEASIBLE, OPTIMAL, Prices, Problem, Slack, Solution
from alphaloom.portfolio.solve.restrict import MOST_ROUNDS, absentees, first_set
from alphaloom.portfolio.solve.trades import Segment, segments, slack_taken
from alphaloom.typing import Doubles, Ints

OPTIONS = (
    ("output_flag", False),
    ("threads", 1),
    ("solver", "simplex"),
    ("presolve", "off"),  # the compact form is small already; presolve costs more than it saves
    ("primal_feasibility_tolerance", 1e-10),
    ("dual_feasibility_tolerance", 1e-10),
    ("simplex_scale_strategy", 0),  # exposures and weights are of one order already
)
NAME, HIGHS = "dual simplex", "highs simplex"


def solve_linear(p: Problem, start: Prices | None = None, *, restricted: bool = True) -> Solution:
    """Return the optimum of a problem without curvature, or status `infeasible`.

    A variance limit is not looked at.
    """
    stocks = first_set(p, start) if restricted else np.arange(p.size)
    inside = np.zeros(p.size, dtype=np.bool_)
    inside[stocks] = True
    model, rounds = Model(p, stocks, start), 0
    while True:
        rounds += 1
        if not model.solved():
            return solve_highs(p)
        prices = model.prices()
        more, least = absentees(p, prices, inside)
        if not more.size or rounds > MOST_ROUNDS:
            return Solution(OPTIMAL, model.weights(), prices, NAME, model.columns, rounds, model.slack(), least=least)
        inside[more] = True
        model.add(more)


def solve_highs(p: Problem) -> Solution:
    """Return the same by HiGHS, over all stocks, or its own word as status."""
    model = Model(p, np.arange(p.size))
    highs = model.highs()
    highs.run()
    status = highs.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        found = highs.getSolution()
        model.take(np.asarray(found.col_value), np.asarray(found.row_dual))
        return Solution(OPTIMAL, model.weights(), model.prices(), HIGHS, model.columns, 1, model.slack())
    none_exists = status in {highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible}
    word = INFEASIBLE if none_exists else str(highs.modelStatusToString(status))
    return Solution(word, p.current, model.prices(), HIGHS, model.columns)


class Model:
    """The growing programme: rows of the limits, of the bends, of the slacks' sums; columns as they come."""

    def __init__(self, p: Problem, stocks: Ints, start: Prices | None = None) -> None:
        self._p, self._start = p, start
        base = p.rows.activity(p.current)
        bends = [bend.most - (bend_value(bend, p.current, p.current) if bend.at == "zero" else 0.0) for bend in p.bends]
        self._taken = slack_taken(p)
        totals = [slack.most - self._taken.get(slack.label, 0.0) for slack in p.slack]
        self._first_bend, self._first_total = base.size, base.size + len(bends)
        high = np.concatenate([p.rows.high - base, bends, totals])
        low = np.full(high.size, -np.inf)
        low[: base.size] = p.rows.low - base
        # Bounds of the rows, then of the columns.
        self._low, self._high = [low], [high]
        self._cost: list[Doubles] = [np.zeros(0)]
        self._matrix: list[Doubles] = [np.zeros((low.size, 0))]
        self._added: list[Segment | tuple[int, int]] = []
        self._basis: Ints | None = None
        self._values: Doubles = np.zeros(0)
        self._duals: Doubles = np.zeros(low.size)
        self.add(stocks)
        for k, slack in enumerate(p.slack):
            self._add_slack(k, slack)

    @property
    def columns(self) -> int:
        """Number of columns."""
        return sum(cost.size for cost in self._cost)

    def add(self, stocks: Ints) -> None:
        """Add the columns of some stocks."""
        rows = np.zeros((self._duals.size, stocks.size))
        self._p.rows.take(stocks).fill(rows[: self._first_bend].T)
        for s in segments(self._p, stocks):
            entries = s.sign * rows[:, s.places]
            entries[self._first_bend : self._first_total] = s.bends
            if s.slack >= 0:
                entries[self._first_total + s.slack] = s.takes
            self._columns(s.cost, s.least, s.most, entries)
            self._added.append(s)

    def _add_slack(self, k: int, slack: Slack) -> None:
        """Add the columns by which the rows and bends of a limit give way."""
        p = self._p
        signs: list[tuple[int, float]] = []
        for block, span in zip(p.rows.blocks, p.rows.spans, strict=True):
            if block.label == slack.label:
                signs += [(row, 1.0) for row in range(span.start, span.stop)]
                signs += [] if block.falls_only else [(row, -1.0) for row in range(span.start, span.stop)]
        signs += [(self._first_bend + j, -1.0) for j, bend in enumerate(p.bends) if bend.label == slack.label]
        if not signs:
            return
        count = len(signs)
        entries = np.zeros((self._duals.size, count))
        entries[[row for row, _ in signs], range(count)] = [sign for _, sign in signs]
        entries[self._first_total + k] = 1.0
        self._columns(np.full(count, slack.cost), np.zeros(count), np.full(count, slack.most), entries)
        self._added.append((k, count))

    def _columns(self, cost: Doubles, least: Doubles, most: Doubles, entries: Doubles) -> None:
        self._cost.append(cost)
        self._low.append(least)
        self._high.append(most)
        self._matrix.append(entries)

    def solved(self) -> bool:
        """Solve on from the last basis; return whether that succeeds."""
        m = self._duals.size
        low, high = np.concatenate(self._low), np.concatenate(self._high)
        values, duals = np.empty(low.size), np.empty(m)
        matrix, cost = np.hstack(self._matrix), np.concatenate(self._cost)
        if self._basis is None:
            self._basis = _first_basis(matrix, cost, self._start)
        status = dual_simplex(matrix, cost, low, high, self._basis, values, duals)
        self.take(values[m:], duals)
        return bool(status == SOLVED)

    def highs(self) -> highspy.Highs:
        """Return the programme in HiGHS."""
        highs = highspy.Highs()  # type: ignore[no-untyped-call]
        for name, value in OPTIONS:
            highs.setOptionValue(name, value)
        m, n = self._duals.size, self.columns
        low, high = np.concatenate(self._low), np.concatenate(self._high)
        highs.addRows(m, low[:m], high[:m], 0, np.zeros(m, np.int32), np.zeros(0, np.int32), np.zeros(0))
        by_column, cost = np.hstack(self._matrix).T, np.concatenate(self._cost)
        columns, rows = np.nonzero(by_column)
        first = np.searchsorted(columns, np.arange(n)).astype(np.int32)
        values = by_column[columns, rows]
        highs.addCols(n, cost, low[m:], high[m:], values.size, first, rows.astype(np.int32), values)
        return highs

    def take(self, values: Doubles, duals: Doubles) -> None:
        """Take in the columns' values and what one more unit of each row costs."""
        self._values, self._duals = values, duals

    def prices(self) -> Prices:
        """Return the prices of the limits: what one more unit of a row takes off the objective."""
        p, duals = self._p, -self._duals
        factors = 0 if p.risk is None else p.risk.root.shape[1]
        first, total = self._first_bend, self._first_total
        return Prices(duals[:first], duals[first:total], np.zeros(factors), slack=duals[total:])

    def columns_of(self, stock: int) -> tuple[list[int], list[float]]:
        """Return the columns that move a stock, and which way."""
        columns, signs, first = [], [], 0
        for added in self._added:
            if isinstance(added, Segment):
                at = np.flatnonzero(added.stocks == stock)
                columns += (first + at).tolist()
                signs += [added.sign] * at.size
            first += added.stocks.size if isinstance(added, Segment) else added[1]
        return columns, signs

    def _parts(self) -> Iterator[tuple[Segment | tuple[int, int], Doubles]]:
        first = 0
        for added in self._added:
            count = added.stocks.size if isinstance(added, Segment) else added[1]
            yield added, self._values[first : first + count]
            first += count

    def weights(self) -> Doubles:
        """Return the weights of all stocks `[N]`."""
        weights = self._p.current.copy()
        for added, values in self._parts():
            if isinstance(added, Segment):
                weights[added.stocks] += added.sign * values
        weights[np.abs(weights) < 1e-13] = 0.0
        return weights

    def slack(self) -> dict[str, float]:
        """Return how much of each slack was used."""
        out = {slack.label: self._taken.get(slack.label, 0.0) for slack in self._p.slack}
        for added, values in self._parts():
            k, takes = (added.slack, added.takes) if isinstance(added, Segment) else (added[0], 1.0)
            if k >= 0:
                out[self._p.slack[k].label] += takes * float(values.sum())
        return out


def _first_basis(matrix: Doubles, cost: Doubles, start: Prices | None) -> Ints:
    """Return all rows, but for those that have prices the columns whose stocks these leave most nearly indifferent."""
    m, n = matrix.shape
    basis = np.arange(m)
    if start is not None and n > m:
        prices = np.concatenate([start.rows, start.bends, np.zeros(m - start.rows.size - start.bends.size)])
        priced = np.flatnonzero(prices)
        basis[priced] = m + np.argpartition(np.abs(cost + prices @ matrix), priced.size)[: priced.size]
    return basis

"""Linear problems by HiGHS's dual simplex, in trades: a column for each way a stock can move, a row for each limit.

With `w = w0 + bought - sold` the rows are the styles, the industries, the money and the turnover, whatever the number
of stocks. Columns of stocks left out at first are added to the same model and solved on from the last basis.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import highspy
import numpy as np

from alphaloom.portfolio.solve.bound import bend_value
from alphaloom.portfolio.solve.problem import INFEASIBLE, OPTIMAL, Prices, Problem, Slack, Solution
from alphaloom.portfolio.solve.restrict import MOST_ROUNDS, absentees, first_set
from alphaloom.typing import Array, Doubles, Ints

OPTIONS = (
    ("output_flag", False),
    ("threads", 1),
    ("solver", "simplex"),
    ("presolve", "off"),  # the compact form is small already; presolve costs more than it saves
    ("primal_feasibility_tolerance", 1e-10),
    ("dual_feasibility_tolerance", 1e-10),
    ("simplex_scale_strategy", 0),  # exposures and weights are of one order already
)
NAME = "highs simplex"


@dataclass(frozen=True, eq=False)
class Segment:
    """Columns that move stocks one way over a stretch on which the cost is straight."""

    stocks: Ints
    sign: float
    least: Doubles
    most: Doubles
    cost: Doubles
    bends: tuple[float, ...]
    """What a unit adds to each bend."""
    slack: int = -1
    """Position of the slack that the columns use up, -1 for none."""


def solve_linear(p: Problem, start: Prices | None = None, *, restricted: bool = True) -> Solution:
    """Return the optimum of a problem without curvature, or status `infeasible`.

    A variance limit is not looked at.
    """
    stocks = first_set(p, start) if restricted else np.arange(p.size)
    inside = np.zeros(p.size, dtype=np.bool_)
    inside[stocks] = True
    model = Model(p)
    for segment in segments(p, stocks):
        model.add(segment)
    for k, slack in enumerate(p.slack):
        model.add_slack(k, slack)
    for segment in wider(p):
        model.add(segment)
    for rounds in range(1, MOST_ROUNDS + 1):
        status = model.run()
        if status != OPTIMAL:
            if not inside.all():
                return solve_linear(p, start, restricted=False)
            return Solution(status, p.current, model.prices(), NAME, model.columns, rounds)
        prices = model.prices()
        more, least = absentees(p, prices, inside)
        if not more.size:
            break
        inside[more] = True
        for segment in segments(p, more):
            model.add(segment)
    used = model.slack()
    return Solution(OPTIMAL, model.weights(), prices, NAME, model.columns, rounds, used, least=least)


def segments(p: Problem, stocks: Ints) -> Iterator[Segment]:
    """Yield the columns of some stocks: up from the holding and down from it, each split at zero if that is a kink."""
    now, low, high = p.current[stocks], p.low[stocks], p.high[stocks]
    up, down = p.buying[stocks] - p.alpha[stocks], p.selling[stocks] + p.alpha[stocks]
    rising, falling = _bends(p, 1.0, 1.0), _bends(p, -1.0, 1.0)
    if not p.has_zero_bends:
        yield from _stretch(stocks, 1.0, now, high, low, up, rising)
        yield from _stretch(stocks, -1.0, now, low, high, down, falling)
        return
    zero = np.zeros(stocks.size)
    yield from _stretch(stocks, 1.0, now, np.minimum(high, zero), low, up, _bends(p, 1.0, -1.0))
    yield from _stretch(stocks, 1.0, np.maximum(now, zero), high, low, up, rising)
    yield from _stretch(stocks, -1.0, now, np.maximum(low, zero), high, down, falling)
    yield from _stretch(stocks, -1.0, np.minimum(now, zero), low, high, down, _bends(p, -1.0, -1.0))


def wider(p: Problem) -> Iterator[Segment]:
    """Yield the columns beyond the boxes that give way, from the inside out."""
    low, high = p.low, p.high
    everyone = np.arange(p.size)
    position = {slack.label: k for k, slack in enumerate(p.slack)}
    for slack, wide_low, wide_high in p.beyond():
        k = position[slack.label]
        up = p.buying - p.alpha + slack.cost
        down = p.selling + p.alpha + slack.cost
        region = 1.0
        yield from _stretch(everyone, 1.0, high, wide_high, high, up, _bends(p, 1.0, region), k)
        region = -1.0 if p.has_zero_bends else 1.0
        yield from _stretch(everyone, -1.0, low, wide_low, low, down, _bends(p, -1.0, region), k)
        low, high = wide_low, wide_high


def _stretch(
    stocks: Ints,
    sign: float,
    begin: Doubles,
    end: Doubles,
    other: Doubles,
    cost: Doubles,
    bends: tuple[float, ...],
    slack: int = -1,
) -> Iterator[Segment]:
    """Yield the columns from `begin` to `end`; `other` is the limit on the other side, which may force a move."""
    most = np.maximum(sign * (end - begin), 0.0)
    least = np.clip(sign * (other - begin), 0.0, most)
    there = np.flatnonzero(most > 0)
    if there.size:
        yield Segment(stocks[there], sign, least[there], most[there], cost[there], bends, slack)


def _bends(p: Problem, sign: float, region: float) -> tuple[float, ...]:
    """Return what a unit of a move adds to each bend; `region` is the sign of the weights it runs through."""
    out = []
    for bend in p.bends:
        if bend.at == "current":
            out.append(bend.up if sign > 0 else bend.down)
        else:
            out.append(sign * (bend.up if region > 0 else -bend.down))
    return tuple(out)


class Model:
    """The growing programme in HiGHS: rows of the limits, of the bends, of the slacks' sums; columns as they come."""

    def __init__(self, p: Problem) -> None:
        self._p = p
        self.highs = highspy.Highs()  # type: ignore[no-untyped-call]
        for name, value in OPTIONS:
            self.highs.setOptionValue(name, value)
        base = p.rows.activity(p.current)
        bends = [bend.most - (bend_value(bend, p.current, p.current) if bend.at == "zero" else 0.0) for bend in p.bends]
        low = np.concatenate([p.rows.low - base, np.full(len(bends) + len(p.slack), -np.inf)])
        high = np.concatenate([p.rows.high - base, bends, [slack.most for slack in p.slack]])
        self.highs.addRows(low.size, low, high, 0, np.zeros(low.size, np.int32), np.zeros(0, np.int32), np.zeros(0))
        self._first_bend = base.size
        self._first_total = base.size + len(bends)
        self._added: list[Segment | tuple[int, int]] = []
        self._values: Doubles = np.zeros(0)
        self._duals: Doubles = np.zeros(low.size)

    @property
    def columns(self) -> int:
        """Number of columns."""
        return int(self.highs.getNumCol())

    def add(self, s: Segment) -> None:
        """Add the columns of a segment."""
        entries, rows = self._p.rows.entries(s.stocks)
        further = [(self._first_bend + k, value) for k, value in enumerate(s.bends)]
        further += [(self._first_total + s.slack, 1.0)] if s.slack >= 0 else []
        width = entries.shape[1]
        values = np.empty((s.stocks.size, width + len(further)))
        where = np.empty(values.shape, np.int32)
        values[:, :width], where[:, :width] = s.sign * entries, rows
        for k, (row, value) in enumerate(further):
            values[:, width + k], where[:, width + k] = value, row
        self._columns(s.cost, s.least, s.most, values, where)
        self._added.append(s)

    def add_slack(self, k: int, slack: Slack) -> None:
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
        values = np.ones((count, 2))
        values[:, 0] = [sign for _, sign in signs]
        where = np.full((count, 2), self._first_total + k, np.int32)
        where[:, 0] = [row for row, _ in signs]
        self._columns(np.full(count, slack.cost), np.zeros(count), np.full(count, slack.most), values, where)
        self._added.append((k, count))

    def _columns(self, cost: Doubles, least: Doubles, most: Doubles, values: Doubles, where: Array) -> None:
        count, width = values.shape
        start = np.arange(0, count * width, width, dtype=np.int32)
        self.highs.addCols(count, cost, least, most, values.size, start, where.ravel(), values.ravel())

    def run(self) -> str:
        """Solve; return `optimal`, `infeasible`, or the solver's own word."""
        self.highs.run()
        status = self.highs.getModelStatus()
        if status == highspy.HighsModelStatus.kOptimal:
            solution = self.highs.getSolution()
            self._values = np.asarray(solution.col_value, dtype=np.float64)
            self._duals = np.asarray(solution.row_dual, dtype=np.float64)
            return OPTIMAL
        if status in {highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible}:
            return INFEASIBLE
        return str(self.highs.modelStatusToString(status))

    def prices(self) -> Prices:
        """Return the prices of the limits; HiGHS counts them the other way round."""
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
        out = {slack.label: 0.0 for slack in self._p.slack}
        for added, values in self._parts():
            k = added.slack if isinstance(added, Segment) else added[0]
            if k >= 0:
                out[self._p.slack[k].label] += float(values.sum())
        return out

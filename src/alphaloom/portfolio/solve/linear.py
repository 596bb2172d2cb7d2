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
    """Position of the slack that a unit takes, -1 for none."""
    takes: float = 1.0
    """How much of it: less than nothing where a stock returns to its own limits."""


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
    """Yield the columns of some stocks: up from the holding and down from it, split where the cost has a kink.

    Kinks are zero, if limits ask for the sign of the weights, and the edges of boxes that give way.
    """
    now = p.current[stocks]
    for region in _regions(p):
        low, high = region.low[stocks], region.high[stocks]
        for sign, begin, end in ((1.0, np.maximum(now, low), high), (-1.0, np.minimum(now, high), low)):
            for side, first, last in _parts(p, sign, begin, end):
                most = np.maximum(sign * (last - first), 0.0)
                there = np.flatnonzero(most > 0)
                if there.size:
                    at = stocks[there]
                    cost = p.buying[at] - p.alpha[at] if sign > 0 else p.selling[at] + p.alpha[at]
                    takes = region.takes * sign
                    least = most[there] if region.is_forced else np.zeros(there.size)
                    yield Segment(
                        at,
                        sign,
                        least,
                        most[there],
                        cost + takes * region.cost,
                        _bends(p, sign, side),
                        region.slack,
                        takes,
                    )


@dataclass(frozen=True, eq=False)
class _Region:
    """A range of weights `[N]` on which moving up takes the same slack."""

    low: Doubles
    high: Doubles
    slack: int = -1
    cost: float = 0.0
    takes: float = 0.0
    is_forced: bool = False
    """Whether it lies outside the widest limits and must be left."""


def _regions(p: Problem) -> list[_Region]:
    """Return the ranges: within the stocks' own limits, beyond those that give way, and what must be left."""
    low, high, position = p.low, p.high, {slack.label: k for k, slack in enumerate(p.slack)}
    out = [_Region(low, high)]
    for slack, wide_low, wide_high in p.beyond():
        k = position[slack.label]
        out += [_Region(high, wide_high, k, slack.cost, 1.0), _Region(wide_low, low, k, slack.cost, -1.0)]
        low, high = wide_low, wide_high
    outside = (p.current > high) | (p.current < low)
    if outside.any():
        out.append(_Region(high, np.maximum(p.current, high), is_forced=True))
        out.append(_Region(np.minimum(p.current, low), low, is_forced=True))
    return out


def _parts(p: Problem, sign: float, begin: Doubles, end: Doubles) -> Iterator[tuple[float, Doubles, Doubles]]:
    """Yield a stretch as it is, or split at zero: the sign of its weights, its begin and its end."""
    if not p.has_zero_bends:
        yield 1.0, begin, end
        return
    zero = np.zeros(begin.size)
    yield sign, np.maximum(sign * begin, zero) * sign, end
    yield -sign, begin, np.minimum(sign * end, zero) * sign


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
        self._taken = _taken(p)
        totals = [slack.most - self._taken.get(slack.label, 0.0) for slack in p.slack]
        low = np.concatenate([p.rows.low - base, np.full(len(bends) + len(p.slack), -np.inf)])
        high = np.concatenate([p.rows.high - base, bends, totals])
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
        further += [(self._first_total + s.slack, s.takes)] if s.slack >= 0 else []
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
        out = {slack.label: self._taken.get(slack.label, 0.0) for slack in self._p.slack}
        for added, values in self._parts():
            k, takes = (added.slack, added.takes) if isinstance(added, Segment) else (added[0], 1.0)
            if k >= 0:
                out[self._p.slack[k].label] += takes * float(values.sum())
        return out


def _taken(p: Problem) -> dict[str, float]:
    """Return how far the holdings lie beyond each box that gives way, in sum."""
    out, low, high = {}, p.low, p.high
    for slack, wide_low, wide_high in p.beyond():
        above = np.clip(p.current, high, wide_high) - high
        below = low - np.clip(p.current, wide_low, low)
        out[slack.label] = float(above.sum() + below.sum())
        low, high = wide_low, wide_high
    return out

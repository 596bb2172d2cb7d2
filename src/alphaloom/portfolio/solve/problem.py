"""One date's problem, in the form that every solver here takes.

    minimise    -alpha'w + aversion * variance(w) + sum_i cost_i(w_i)
    subject to  low <= w <= high                               each stock's own limits
                low_r <= row_r'w <= high_r                     styles, industries, money
                sum_i up (w_i - p_i)+ + down (w_i - p_i)- <= most    turnover (p the holdings), gross weight (p zero)
                variance(w) <= most                            tracking error

with `variance(w) = |root' exposures (w - centre)|^2 + sum_i specific_i (w_i - centre_i)^2` and
`cost_i(w) = buying_i (w - w0)+ + selling_i (w - w0)- + impact_i |w - w0|^(3/2)`. Apart from the rows and the factors
everything is a sum over stocks: given prices for them, each stock's best weight is a formula (`names.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from alphaloom.kernels.stock_response import Stocks
from alphaloom.portfolio.solve.rows import Rows
from alphaloom.typing import Bools, Doubles, Ints

OPTIMAL = "optimal"
INFEASIBLE = "infeasible"


@dataclass(frozen=True, eq=False)
class Box:
    """Each stock's own limits `[N]`, or one number for all."""

    label: str
    low: Doubles | float
    high: Doubles | float


@dataclass(frozen=True)
class Bend:
    """`sum_i up (w_i - p_i)+ + down (w_i - p_i)- <= most`, p the current weights or zero."""

    label: str
    name: str
    at: Literal["current", "zero"]
    up: float
    down: float
    most: float


@dataclass(frozen=True)
class Slack:
    """A limit that gives way at `cost` a unit, by `most` in sum over its rows, bends or stocks."""

    label: str
    cost: float = 0.0
    most: float = 10.0


@dataclass(frozen=True, eq=False)
class Risk:
    """Variance in factor form, its price in the objective and its limit."""

    aversion: float
    exposures: Doubles
    """`[K, N]`"""
    root: Doubles
    """`[K, r]`: root root' is the factors' covariance."""
    specific: Doubles
    """`[N]`"""
    centre: Doubles
    """`[N]`, the weights that the variance is measured from: the benchmark, or zeros."""
    most: float = np.inf
    label: str = ""
    """Name of the limit `most`."""

    @cached_property
    def offset(self) -> Doubles:
        """The centre's loads on the factors' roots `[r]`."""
        return self.root.T @ (self.exposures @ self.centre)

    def take(self, stocks: Ints) -> "Risk":
        """Return the risk over some stocks, the others at weight 0: what these add to the variance leaves the limit."""
        own = self.specific * self.centre**2
        left_out = float(own.sum() - own[stocks].sum())
        return _TakenRisk(
            self.aversion,
            self.exposures[:, stocks],
            self.root,
            self.specific[stocks],
            self.centre[stocks],
            max(self.most - left_out, 0.0),
            self.label,
            centre_loads=self.offset,
        )

    def loads(self, weights: Doubles) -> Doubles:
        """Return the active loads on the factors' roots `[r]`: their squares sum to the factors' part of variance."""
        held = np.flatnonzero(weights)
        return self.root.T @ (self.exposures[:, held] @ weights[held]) - self.offset

    def variance(self, weights: Doubles) -> float:
        """Return the variance of a day's return."""
        loads, active = self.loads(weights), weights - self.centre
        return float(loads @ loads + (self.specific * active) @ active)


@dataclass(frozen=True, eq=False)
class _TakenRisk(Risk):
    """Risk over some stocks, its factors measured from the centre of all."""

    centre_loads: Doubles = field(default_factory=lambda: np.zeros(0))

    @cached_property
    def offset(self) -> Doubles:
        """The whole centre's loads on the factors' roots `[r]`."""
        return self.centre_loads


@dataclass(frozen=True, eq=False)
class Prices:
    """What one more unit of each limit would be worth: Lagrange multipliers, the state that solves start from."""

    rows: Doubles
    """`[R]`, positive at an upper bound."""
    bends: Doubles
    """One a bend, not negative."""
    factors: Doubles
    """`[r]`, of the loads on the factors' roots."""
    variance: float = 0.0
    """Of the variance limit."""
    slack: Doubles = field(default_factory=lambda: np.zeros(0))
    """Of the sums of the slacks."""


@dataclass(frozen=True, eq=False)
class Problem:
    """See the module's text. Arrays are `[N]` unless noted."""

    alpha: Doubles
    current: Doubles
    boxes: tuple[Box, ...]
    """From the most to the least important: where two exclude each other, the earlier one holds."""
    rows: Rows
    bends: tuple[Bend, ...]
    buying: Doubles
    selling: Doubles
    impact: Doubles
    risk: Risk | None = None
    slack: tuple[Slack, ...] = ()

    @property
    def size(self) -> int:
        """N."""
        return self.alpha.size

    @cached_property
    def box(self) -> tuple[Doubles, Doubles]:
        """The stocks' own limits, combined."""
        return narrow(self.boxes, self.size)

    @property
    def low(self) -> Doubles:
        """Smallest weights."""
        return self.box[0]

    @property
    def high(self) -> Doubles:
        """Largest weights."""
        return self.box[1]

    @cached_property
    def stocks(self) -> Stocks:
        """What is said of each stock apart from alpha, in the form that kernels take."""
        centre = np.zeros(self.size) if self.risk is None else self.risk.centre
        return Stocks(self.current, centre, self.buying, self.selling, self.impact, *self.box)

    @cached_property
    def stays(self) -> Bools:
        """Which stocks neither are held nor must be: those that a restricted problem may leave out."""
        stays: Bools = (self.current == 0.0) & (self.low <= 0.0) & (self.high >= 0.0)
        return stays

    @cached_property
    def has_impact(self) -> bool:
        """Whether trading costs more than in proportion anywhere."""
        return bool(self.impact.any())

    @cached_property
    def has_zero_bends(self) -> bool:
        """Whether a limit depends on the sign of the weights and short weights are possible."""
        return any(bend.at == "zero" for bend in self.bends) and bool((self.low < 0.0).any())

    @property
    def is_curved(self) -> bool:
        """Whether the objective is more than piecewise linear."""
        risky = self.risk is not None and self.risk.aversion > 0.0
        return self.has_impact or (
            risky and self.risk is not None and bool(self.risk.root.any() or self.risk.specific.any())
        )

    def beyond(self) -> list[tuple[Slack, Doubles, Doubles]]:
        """Return each box that gives way with the wider limits `[N]` it leaves, the least important first."""
        out, boxes = [], self.boxes
        order = [box.label for box in self.boxes]
        loose = [slack for slack in self.slack if slack.label in order]
        for slack in sorted(loose, key=lambda item: order.index(item.label), reverse=True):
            boxes = tuple(box for box in boxes if box.label != slack.label)
            out.append((slack, *narrow(boxes, self.size)))
        return out

    def take(self, stocks: Ints) -> "Problem":
        """Return the problem of some stocks; those left out must stay at weight 0."""
        risk = None if self.risk is None else self.risk.take(stocks)
        return replace(
            self,
            alpha=self.alpha[stocks],
            current=self.current[stocks],
            boxes=tuple(Box(box.label, _part(box.low, stocks), _part(box.high, stocks)) for box in self.boxes),
            rows=self.rows.take(stocks),
            buying=self.buying[stocks],
            selling=self.selling[stocks],
            impact=self.impact[stocks],
            risk=risk,
        )

    def trading_cost(self, weights: Doubles) -> float:
        """Return the cost of trading to weights."""
        change = weights - self.current
        size = np.abs(change)
        linear = float(np.where(change > 0, self.buying, self.selling) @ size)
        return linear + (float(self.impact @ (size * np.sqrt(size))) if self.has_impact else 0.0)

    def objective(self, weights: Doubles) -> float:
        """Return what is minimised, without slack."""
        value = self.trading_cost(weights) - float(self.alpha @ weights)
        if self.risk is not None and self.risk.aversion:
            value += self.risk.aversion * self.risk.variance(weights)
        return value


@dataclass(frozen=True)
class Certificate:
    """By how much limits are broken, and what any feasible weights could add to the objective."""

    violation: float
    gap: float


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver gives: a status, and when it is `optimal`, weights and prices."""

    status: str
    weights: Doubles
    prices: Prices
    solver: str
    columns: int = 0
    """Stocks or columns in the problem that was solved last."""
    rounds: int = 1
    """Solves, stocks being added in between; for Newton's method, its steps."""
    slack: dict[str, float] = field(default_factory=dict)
    """How much of each slack was used."""
    reason: str = ""
    """Why this solver was taken, when it was not the first choice."""
    gap: float | None = None
    """The solver's own bound on what other weights could add, where prices alone do not prove it."""
    least: float | None = None
    """The dual objective at the prices, if it was computed on the way; no weights can have a smaller objective."""
    proof: Certificate | None = None
    """The certificate, where prices prove it."""


def narrow(boxes: Sequence[Box], size: int) -> tuple[Doubles, Doubles]:
    """Return the limits `[N]` within all boxes; one that lies outside earlier ones is held at their edge."""
    low, high = np.full(size, -np.inf), np.full(size, np.inf)
    for box in boxes:
        new = np.minimum(np.maximum(box.low, low), high)
        high = np.minimum(np.maximum(box.high, low), high)
        low = new
    return low, high


def _part(bound: Doubles | float, stocks: Ints) -> Doubles | float:
    return bound[stocks] if isinstance(bound, np.ndarray) else bound

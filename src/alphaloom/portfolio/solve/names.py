"""What each stock does at given prices: its best weight has a formula, since all that ties stocks together is priced.

For one stock, minimise over `low <= x <= high`

    linear x + s (x - c)^2 + up (x - w0)+ + down (x - w0)- + k |x - w0|^(3/2) + above x+ + below x-

with `s` the priced specific variance, `c` the centre, `k` the impact, `up` and `down` the costs and turnover prices,
`above` and `below` the prices of limits on long and short weights. At w0 the slope to the right is
`linear + 2 s (w0 - c) + up`, that to the left `linear + 2 s (w0 - c) - down`; where neither points downhill the stock
stays, else the root t^2 of `2 s t^2 + 1.5 k t = -slope` is how far it goes.
"""

from dataclasses import dataclass

import numpy as np

from alphaloom.kernels import stock_response
from alphaloom.portfolio.solve.problem import Prices, Problem
from alphaloom.typing import Bools, Doubles


@dataclass(frozen=True, eq=False)
class Slopes:
    """The priced linear terms of every stock: arrays `[N]`, or numbers that all stocks share."""

    linear: Doubles
    up: Doubles
    down: Doubles
    above: float
    below: float
    square: Doubles
    """s: the specific variance, priced."""


@dataclass(frozen=True, eq=False)
class Response:
    """Every stock's best weight, and how it would move. Arrays `[N]`."""

    weights: Doubles
    values: Doubles
    """The priced objective at the weights."""
    curvature: Doubles
    """Its second derivative there, of those that move."""
    moves: Bools
    """Whether a small change of the prices moves the weight: not at a kink nor at a limit."""
    up: Bools
    """Whether the stock is on the buying side of its holding."""


def slopes(p: Problem, prices: Prices) -> Slopes:
    """Return the priced linear terms at some prices."""
    linear = p.rows.priced(prices.rows, p.size) - p.alpha
    aversion = prices.variance
    square = np.zeros(p.size)
    if p.risk is not None:
        aversion += p.risk.aversion
        if prices.factors.any():
            linear += (p.risk.root @ prices.factors) @ p.risk.exposures
        square = aversion * p.risk.specific
    return bent(p, prices.bends, linear, square)


def bent(p: Problem, bends: Doubles, linear: Doubles, square: Doubles) -> Slopes:
    """Return slopes with the bends' prices added to the costs."""
    up = down = above = below = 0.0
    for bend, price in zip(p.bends, bends.tolist(), strict=True):
        if bend.at == "current":
            up += price * bend.up
            down += price * bend.down
        else:
            above += price * bend.up
            below += price * bend.down
    if not p.has_zero_bends:  # every weight is positive: the bend is a straight line
        linear, above, below = linear + above if above else linear, 0.0, 0.0
    return Slopes(linear, p.buying + up, p.selling + down, above, below, square)


def respond(p: Problem, s: Slopes) -> Response:
    """Return every stock's best weight at some slopes."""
    out, flags = np.empty((3, p.size)), np.empty((2, p.size), dtype=np.bool_)
    stock_response.respond(
        s.linear, s.up, s.down, s.square, s.above, s.below, p.current, p.centre, p.impact, p.low, p.high, out, flags
    )
    return Response(out[0], out[1], out[2], flags[0], flags[1])


def values(p: Problem, s: Slopes, weights: Doubles) -> Doubles:
    """Return each stock's priced objective `[N]` at some weights."""
    out = np.empty(p.size)
    stock_response.values(
        weights, s.linear, s.up, s.down, s.square, s.above, s.below, p.current, p.centre, p.impact, out
    )
    return out


def eagerness(p: Problem, s: Slopes) -> Doubles:
    """Return how steeply each stock's objective falls when it leaves its holding; negative where it rises."""
    base = s.linear if p.risk is None else s.linear + 2.0 * s.square * (p.current - p.centre)
    buy = np.where(p.high > p.current, -base - s.up - (s.above if s.above else 0.0), -np.inf)
    sell = np.where(p.low < p.current, base - s.down - (s.below if s.below else 0.0), -np.inf)
    return np.maximum(buy, sell)

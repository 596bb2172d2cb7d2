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
from alphaloom.typing import Doubles


@dataclass(frozen=True, eq=False)
class Slopes:
    """The priced terms of every stock: arrays `[N]`, or numbers that all stocks share."""

    linear: Doubles
    square: Doubles
    """s: the specific variance, priced."""
    up: float
    """What purchases pay beside their cost."""
    down: float
    above: float
    below: float


@dataclass(frozen=True, eq=False)
class Response:
    """Every stock's best weight `[N]`, and the priced objective there `[N]`."""

    weights: Doubles
    values: Doubles


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
    up = down = above = below = 0.0
    for bend, price in zip(p.bends, prices.bends.tolist(), strict=True):
        if bend.at == "current":
            up += price * bend.up
            down += price * bend.down
        else:
            above += price * bend.up
            below += price * bend.down
    if not p.has_zero_bends:  # every weight is positive: the bend is a straight line
        linear, above, below = linear + above if above else linear, 0.0, 0.0
    return Slopes(linear, square, up, down, above, below)


def respond(p: Problem, s: Slopes) -> Response:
    """Return every stock's best weight at some slopes."""
    out, flags = np.empty((3, p.size)), np.empty((2, p.size), dtype=np.bool_)
    stock_response.respond(p.stocks, s.linear, s.square, s.up, s.down, s.above, s.below, out, flags)
    return Response(out[0], out[1])


def values(p: Problem, s: Slopes, weights: Doubles) -> Doubles:
    """Return each stock's priced objective `[N]` at some weights."""
    out = np.empty(p.size)
    stock_response.values(p.stocks, weights, s.linear, s.square, s.up, s.down, s.above, s.below, out)
    return out


def eagerness(p: Problem, s: Slopes) -> Doubles:
    """Return how steeply each stock's objective falls when it leaves its holding `[N]`; negative where it rises."""
    out = np.empty(p.size)
    stock_response.eagerness(p.stocks, s.linear, s.square, s.up, s.down, s.above, s.below, out)
    return out

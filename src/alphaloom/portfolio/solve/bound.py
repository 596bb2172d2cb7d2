"""What no feasible weights can beat: the dual objective at any prices, whoever found them.

At fixed prices the problem falls apart into one small problem a stock, each solved by a formula; their sum, less what
the limits would be worth at these prices, is at most the optimum. The distance to the objective of given weights is the
duality gap: a proof of optimality that does not ask how the weights were found.
"""

from dataclasses import dataclass, replace

import numpy as np

from alphaloom.kernels.stock_response import changes
from alphaloom.portfolio.solve.names import Slopes, respond, slopes, values
from alphaloom.portfolio.solve.problem import Bend, Box, Prices, Problem
from alphaloom.typing import Doubles


@dataclass(frozen=True, eq=False)
class Bound:
    """The dual objective, and what each stock could add to it."""

    value: float
    gain: Doubles
    """`[N]`: by how much a stock's best weight at these prices is better than the holding; 0 at most rounding for
    those that stay."""


def lawful(p: Problem, prices: Prices) -> Prices:
    """Return the nearest prices of the right sign: none on an absent bound, none below 0 where only one side is."""
    rows = np.where((prices.rows > 0) & np.isinf(p.rows.high), 0.0, prices.rows)
    rows = np.where((rows < 0) & np.isinf(p.rows.low), 0.0, rows)
    bends, slack = np.maximum(prices.bends, 0.0), np.maximum(prices.slack, 0.0)
    return Prices(rows, bends, prices.factors, max(prices.variance, 0.0), slack)


def bound(p: Problem, prices: Prices) -> Bound:
    """Return the dual objective at prices, made lawful first."""
    prices = lawful(p, prices)
    s = slopes(p, prices)
    best = respond(p, s).values
    stay = values(p, s, np.minimum(np.maximum(p.current, p.low), p.high))
    value = float(_with_wider_boxes(p, prices, s, best).sum()) if p.slack else float(best.sum())
    used = np.flatnonzero(prices.rows)
    z = prices.rows[used]
    value -= float(z @ np.where(z > 0, p.rows.high[used], p.rows.low[used]))
    value -= float(prices.bends @ np.array([bend.most for bend in p.bends])) if p.bends else 0.0
    if p.risk is not None:
        aversion = p.risk.aversion + prices.variance
        if aversion > 0:
            value -= float(prices.factors @ prices.factors) / (4.0 * aversion)
        value -= float(prices.factors @ p.risk.offset)
        value -= prices.variance * p.risk.most if prices.variance else 0.0
    return Bound(value + _slack(p, prices), stay - best)


def _slack(p: Problem, prices: Prices) -> float:
    """Return what the slacks of rows and bends could take off, each sum within its limit."""
    total = 0.0
    labels = [box.label for box in p.boxes]
    for k, slack in enumerate(p.slack):
        if slack.label in labels:
            total -= float(prices.slack[k]) * slack.most if prices.slack.size else 0.0
            continue
        reduced = [0.0]
        for block, span in zip(p.rows.blocks, p.rows.spans, strict=True):
            if block.label == slack.label:
                z = prices.rows[span]
                reduced.append(float((slack.cost + z).min()))
                if not block.falls_only:
                    reduced.append(float((slack.cost - z).min()))
        reduced += [slack.cost - float(t) for b, t in zip(p.bends, prices.bends, strict=True) if b.label == slack.label]
        total += slack.most * min(reduced)
    return total


def _with_wider_boxes(p: Problem, prices: Prices, s: Slopes, best: Doubles) -> Doubles:
    """Return each stock's best value when boxes give way at their slack's price, from the inside out."""
    low, high, paid_low, paid_high = p.low, p.high, np.zeros(p.size), np.zeros(p.size)
    place = {slack.label: k for k, slack in enumerate(p.slack)}
    for slack, wide_low, wide_high in p.beyond():
        price = slack.cost + (float(prices.slack[place[slack.label]]) if prices.slack.size else 0.0)
        for inner, outer, sign, paid in ((high, wide_high, 1.0, paid_high), (low, wide_low, -1.0, paid_low)):
            ends = (inner, outer) if sign > 0 else (outer, inner)
            part = replace(p, boxes=(Box("", *ends),), slack=())
            tilted = replace(s, linear=s.linear + sign * price)
            best = np.minimum(best, respond(part, tilted).values - sign * price * inner + paid)
        paid_high, paid_low = paid_high + price * (wide_high - high), paid_low + price * (low - wide_low)
        low, high = wide_low, wide_high
    return best


def bend_value(bend: Bend, weights: Doubles, current: Doubles) -> float:
    """Return what a bend limits: turnover in one of its forms, or long and short weight."""
    rise, fall = changes(weights, current if bend.at == "current" else np.zeros(weights.size))
    return bend.up * rise + bend.down * fall

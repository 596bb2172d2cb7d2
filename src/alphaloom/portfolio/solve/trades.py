"""Trades as columns: each way a stock can move from its holding, over stretches on which the cost is straight.

With `w = w0 + bought - sold` the rows are the styles, the industries, the money and the turnover, whatever the number
of stocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from alphaloom.portfolio.solve.problem import Problem
from alphaloom.typing import Doubles, Ints


@dataclass(frozen=True, eq=False)
class Segment:
    """Columns that move stocks one way over a stretch on which the cost is straight."""

    stocks: Ints
    places: Ints
    """Where they stand among the stocks that columns were asked for."""
    sign: float
    least: Doubles
    most: Doubles
    cost: Doubles
    bends: Doubles
    """`[B, 1]`, what a unit adds to each bend."""
    slack: int = -1
    """Position of the slack that a unit takes, -1 for none."""
    takes: float = 1.0
    """How much of it: less than nothing where a stock returns to its own limits."""


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
                        there,
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


def _bends(p: Problem, sign: float, region: float) -> Doubles:
    """Return what a unit of a move adds to each bend; `region` is the sign of the weights it runs through."""
    out = []
    for bend in p.bends:
        if bend.at == "current":
            out.append(bend.up if sign > 0 else bend.down)
        else:
            out.append(sign * (bend.up if region > 0 else -bend.down))
    return np.array(out).reshape(len(out), 1)


def slack_taken(p: Problem) -> dict[str, float]:
    """Return how far the holdings lie beyond each box that gives way, in sum."""
    out, low, high = {}, p.low, p.high
    for slack, wide_low, wide_high in p.beyond():
        above = np.clip(p.current, high, wide_high) - high
        below = low - np.clip(p.current, wide_low, low)
        out[slack.label] = float(above.sum() + below.sum())
        low, high = wide_low, wide_high
    return out

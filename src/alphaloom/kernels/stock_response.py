"""Compiled: every stock's best weight at priced limits, by the formula of `alphaloom.portfolio.solve.names`."""

from typing import NamedTuple

import numpy as np

from alphaloom.kernels.rolling import compiled
from alphaloom.typing import Bools, Doubles


class Stocks(NamedTuple):
    """What a problem says of each stock apart from its priced terms. Arrays `[N]`."""

    current: Doubles
    centre: Doubles
    buying: Doubles
    selling: Doubles
    impact: Doubles
    low: Doubles
    high: Doubles


@compiled
def respond(
    stocks: Stocks,
    linear: Doubles,
    square: Doubles,
    up: float,
    down: float,
    above: float,
    below: float,
    out: Doubles,
    flags: Bools,
) -> None:
    """Write to `out [3, N]` the best weights, their values and second derivatives; to `flags [2, N]` which move and
    which are on the buying side of their holding.
    """
    for i in range(linear.size):
        a, s, now, c, k = linear[i], square[i], stocks.current[i], stocks.centre[i], stocks.impact[i]
        u, v, least, most = stocks.buying[i] + up, stocks.selling[i] + down, stocks.low[i], stocks.high[i]
        if above == 0.0 and below == 0.0:
            x, curvature, moves, rises = _side(a, u, v, s, now, c, k, least, most)
        else:
            x, curvature, moves, rises = _side(a + above, u, v, s, now, c, k, max(least, 0.0), max(most, 0.0))
            if not (x > 0.0 or least > 0.0):
                x, curvature, moves, rises = _side(a - below, u, v, s, now, c, k, min(least, 0.0), min(most, 0.0))
                if not (x < 0.0 or most < 0.0):
                    x, moves = 0.0, False
        out[0, i] = x
        out[1, i] = _value(x, a, u, v, s, above, below, now, c, k)
        out[2, i] = curvature
        flags[0, i] = moves
        flags[1, i] = rises


@compiled
def values(
    stocks: Stocks,
    weights: Doubles,
    linear: Doubles,
    square: Doubles,
    up: float,
    down: float,
    above: float,
    below: float,
    out: Doubles,
) -> None:
    """Write to `out [N]` each stock's priced objective at some weights."""
    for i in range(weights.size):
        u, v = stocks.buying[i] + up, stocks.selling[i] + down
        now, centre, impact = stocks.current[i], stocks.centre[i], stocks.impact[i]
        out[i] = _value(weights[i], linear[i], u, v, square[i], above, below, now, centre, impact)


@compiled
def eagerness(
    stocks: Stocks,
    linear: Doubles,
    square: Doubles,
    up: float,
    down: float,
    above: float,
    below: float,
    out: Doubles,
) -> None:
    """Write to `out [N]` how steeply each stock's objective falls when it leaves its holding; negative where it rises,
    minus infinity where the stock cannot be traded.
    """
    for i in range(linear.size):
        now = stocks.current[i]
        base = linear[i] + 2.0 * square[i] * (now - stocks.centre[i])
        out[i] = -np.inf
        if stocks.high[i] > now:
            out[i] = -base - stocks.buying[i] - up - above
        if stocks.low[i] < now:
            out[i] = max(out[i], base - stocks.selling[i] - down - below)


@compiled
def changes(weights: Doubles, start: Doubles) -> tuple[float, float]:
    """Return the sums of the rises and of the falls from one set of weights `[N]` to another."""
    rise, fall = 0.0, 0.0
    for i in range(weights.size):
        change = weights[i] - start[i]
        if change > 0.0:
            rise += change
        else:
            fall -= change
    return rise, fall


@compiled
def _side(
    linear: float,
    up: float,
    down: float,
    square: float,
    now: float,
    centre: float,
    impact: float,
    low: float,
    high: float,
) -> tuple[float, float, bool, bool]:
    """Return the best weight without a kink at zero, the curvature there, whether it moves, and the side it is on."""
    base = linear + 2.0 * square * (now - centre)
    buy, sell = -base - up, base - down
    rises = buy > sell
    force = max(buy, sell)
    far, curvature = 0.0, 2.0 * square
    if force > 0.0:
        if impact > 0.0:
            half = 1.5 * impact
            root = 2.0 * force / (half + np.sqrt(half * half + 8.0 * square * force))
            far = root * root
            curvature += 0.5 * half / root
        else:
            far = force / curvature  # infinite where the objective is straight
    wanted = now + far if rises else now - far
    return min(max(wanted, low), high), curvature, force > 0.0 and low < wanted < high, rises


@compiled
def _value(
    x: float,
    linear: float,
    up: float,
    down: float,
    square: float,
    above: float,
    below: float,
    now: float,
    centre: float,
    impact: float,
) -> float:
    change = x - now
    size = abs(change)
    total = linear * x + (up if change > 0.0 else down) * size + square * (x - centre) ** 2
    if impact > 0.0:
        total += impact * size * np.sqrt(size)
    return total + (above * x if x > 0.0 else -below * x)

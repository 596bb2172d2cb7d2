"""One day's path from the open to the close, and the bar that it leaves."""

from dataclasses import dataclass

import numpy as np

from alphaloom.data.simulate.limits import round_half_up
from alphaloom.typing import Doubles

STEPS = 4
"""Stretches of a day; the path's values between them feed the index's high and low."""
_VOLUME_SHAPE = np.array([0.34, 0.20, 0.16, 0.30])[:, None]


@dataclass(frozen=True)
class Bar:
    """Prices of one day, `[N]`, on the 0.01 grid except `vwap`.

    `points [5, N]` are the open, three inner values and the close before rounding.
    """

    open: Doubles
    high: Doubles
    low: Doubles
    close: Doubles
    vwap: Doubles
    points: Doubles


@dataclass(frozen=True)
class PathDraws:
    """Random numbers of one day: `steps [4, N]` normal, `extremes [2, 4, N]` uniform, `weights [4, N]` normal."""

    steps: Doubles
    extremes: Doubles
    weights: Doubles

    @classmethod
    def draw(cls, rng: np.random.Generator, N: int) -> "PathDraws":
        """Return the next day's random numbers."""
        return cls(rng.standard_normal((STEPS, N)), rng.random((2, STEPS, N)), rng.standard_normal((STEPS, N)))


def make_bar(
    reference: Doubles, gap: Doubles, drift: Doubles, sd: Doubles, limits: tuple[Doubles, Doubles], draws: PathDraws
) -> tuple[Bar, Doubles]:
    """Return the day's bar, and the close `[N]` as a return on `reference` before limits and rounding.

    The path is a Brownian motion in price (not in log price), so an entry at the open or at any moment of the day has
    a symmetric distribution of returns ahead of it. Highs and lows between its points are drawn from the exact law of
    a Brownian bridge's extreme. VWAP weighs the stretches by a U-shaped volume that is independent of the path.

    Args:
        reference: previous close, adjusted for what the stock goes ex today, `[N]`.
        gap: return of the open on `reference`.
        drift: part of the return from open to close common to all paths: factors and alpha.
        sd: standard deviation of the return from open to close.
        limits: lowest and highest permitted price.
        draws: the day's random numbers.
    """
    inner = np.cumsum(draws.steps, axis=0) * (sd / np.sqrt(STEPS))
    time = (np.arange(1, STEPS + 1) / STEPS)[:, None]
    moves = np.concatenate([gap[None], gap + drift * time + inner])
    start, stop = moves[:-1], moves[1:]
    spread = np.sqrt((stop - start) ** 2 - 2 * (sd**2 / STEPS) * np.log1p(-draws.extremes))
    tops = 0.5 * (start + stop + spread[0])
    bottoms = 0.5 * (start + stop - spread[1])
    low_limit, high_limit = limits

    def price(move: Doubles) -> Doubles:
        clipped: Doubles = np.clip(reference * (1 + move), low_limit, high_limit)
        return clipped

    points = price(moves)
    high = round_half_up(np.maximum(price(tops).max(axis=0), points.max(axis=0)))
    low = round_half_up(np.minimum(price(bottoms).min(axis=0), points.min(axis=0)))
    weights = _VOLUME_SHAPE * np.exp(0.3 * draws.weights)
    weights /= weights.sum(axis=0)
    vwap = (weights * 0.5 * (points[:-1] + points[1:])).sum(axis=0)
    bar = Bar(round_half_up(points[0]), high, low, round_half_up(points[-1]), np.clip(vwap, low, high), points)
    return bar, moves[-1]

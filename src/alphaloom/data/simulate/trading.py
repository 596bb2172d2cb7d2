"""One day's trade: shocks, bars, what limits block, and turnover."""

from dataclasses import dataclass

import numpy as np

from alphaloom.data.simulate.factors import OVERNIGHT
from alphaloom.data.simulate.intraday import Bar, PathDraws, make_bar
from alphaloom.typing import Bools, Doubles, Ints

TAIL = 5.0
"""Degrees of freedom of the specific shocks."""
ALPHA_OVERNIGHT = 0.1
"""Share of a day's alpha that is earned before the open; an entry at the next VWAP misses about half a day's."""
MEDIAN_TURNOVER = 0.012
"""Shares traded over those that may trade, of the typical stock on a typical day."""
_FIRST_DAY_SCALE = 2.5
_MOST_MISSED_DAYS = 20
_LOCKED_TURNOVER = 0.15
_NOISE_FADE, _NOISE = 0.75, 0.30


@dataclass(frozen=True)
class Forces:
    """What moves prices on one day, `[N]`, in returns on the reference price.

    `night` and `day` are the common parts before and after the open, `alpha` the planted expectation, `owed` what
    limits, suspensions or a listing left over, `sd` the specific volatility; `missed_days` is the length of the
    suspension that ends today, 0 for the others.
    """

    night: Doubles
    day: Doubles
    alpha: Doubles
    owed: Doubles
    sd: Doubles
    first_day: Bools
    missed_days: Doubles


def trade(
    reference: Doubles, forces: Forces, limits: tuple[Doubles, Doubles], rng: np.random.Generator
) -> tuple[Bar, Doubles]:
    """Return the bars and the returns `[N]` that the close would have had without limits.

    The specific shock is a Student t, made as a normal of random variance: the whole day's path shares the variance,
    so highs and lows tell of it. No shock has a drift.
    """
    N = reference.size
    spread = np.sqrt((TAIL - 2) / rng.chisquare(TAIL, N))
    first, second = rng.standard_normal((2, N))
    sd = forces.sd * spread * np.where(forces.first_day, _FIRST_DAY_SCALE, 1.0)
    jump = forces.sd * np.sqrt(np.minimum(forces.missed_days, _MOST_MISSED_DAYS)) * second
    gap = forces.night + ALPHA_OVERNIGHT * forces.alpha + forces.owed + np.sqrt(OVERNIGHT) * sd * first + jump
    drift = forces.day + (1 - ALPHA_OVERNIGHT) * forces.alpha
    return make_bar(reference, gap, drift, np.sqrt(1 - OVERNIGHT) * sd, limits, PathDraws.draw(rng, N))


def blocked(raw: Doubles, returns: Doubles, reference: Doubles, limits: tuple[Doubles, Doubles]) -> Doubles:
    """Return the part of each move `[N]` that a price limit cut off; 0 where none did."""
    wanted = reference * (1 + raw)
    beyond = (wanted > limits[1] + 0.005) | (wanted < limits[0] - 0.005)
    cut: Doubles = np.where(beyond, raw - returns, 0.0)
    return cut


def turnover(
    liquidity: Doubles, mood: float, moved: Doubles, noise: Doubles, locked: Bools, listed_day: Ints
) -> Doubles:
    """Return volume over float shares `[N]`: the stock's own level, more on large moves of either sign.

    Args:
        liquidity: latent level in logs.
        mood: the regime's shift in logs.
        moved: absolute return over usual volatility.
        noise: autocorrelated noise in logs.
        locked: traded at one price at a limit all day: little changes hands.
        listed_day: new listings trade more.
    """
    fresh = 1.2 * np.exp(-(listed_day - 1) / 20)
    log_turnover = np.log(MEDIAN_TURNOVER) + liquidity + mood + 0.35 * np.minimum(moved - 0.75, 2.5) + noise + fresh
    share: Doubles = np.clip(np.exp(log_turnover) * np.where(locked, _LOCKED_TURNOVER, 1.0), 1e-5, 0.6)
    return share


def next_noise(noise: Doubles, rng: np.random.Generator) -> Doubles:
    """Return the next day's turnover noise `[N]`."""
    return _NOISE_FADE * noise + _NOISE * rng.standard_normal(noise.size)

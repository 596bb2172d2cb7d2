"""Price limits and the price grid of the simulated market, from the dated rules of the market it imitates."""

import numpy as np

from alphaloom.data.market_rules import TICK_SLACK, MarketRules
from alphaloom.typing import Bools, Doubles, Ints

MARKET = "china"
FIRST_DAY_RISE, FIRST_DAY_FALL = 0.44, 0.36
"""First day of a listing on a board whose later reform freed the first five days; fractions of the issue price."""


class LimitTable:
    """Largest rise and fall of each stock on one day, as fractions of its reference price."""

    def __init__(self, rules: MarketRules, boards: tuple[str, ...]) -> None:
        self._rules = rules
        self._boards = boards

    def fractions(self, day: np.datetime64, boards: Ints, is_st: Bools, listed_day: Ints) -> tuple[Doubles, Doubles]:
        """Return the largest permitted rise and fall `[N]`; inf where there is no limit or listing.

        Where the rules free the first day alone, it is held to +44 % / -36 % of the issue price, as it was from 2013.

        Args:
            day: the trading day.
            boards: position of each stock's board among those given at construction.
            is_st: whether each stock is under risk warning that day.
            listed_day: 1 on the first trading day of each stock.
        """
        rise = np.full(boards.size, np.inf)
        fall = np.full(boards.size, np.inf)
        for code, board in enumerate(self._boards):
            mine = (boards == code) & (listed_day > 0)
            if not mine.any():  # a board may not exist yet
                continue
            for st in (False, True):
                band = self._rules.band(board, day, is_st=st)
                rise[mine & (is_st == st)] = np.inf if band is None else band.up
                fall[mine & (is_st == st)] = np.inf if band is None else band.down
            free = self._rules.first_days_of(board, day).days
            early = mine & (listed_day <= free)
            rise[early], fall[early] = (np.inf, np.inf) if free > 1 else (FIRST_DAY_RISE, FIRST_DAY_FALL)
        return rise, fall


def round_half_up(price: Doubles) -> Doubles:
    """Return prices on the 0.01 grid, halves away from zero, with the market rules' slack for binary fractions."""
    rounded: Doubles = np.floor(price * 100 + (0.5 + TICK_SLACK)) / 100
    return rounded


def limit_prices(reference: Doubles, rise: Doubles, fall: Doubles) -> tuple[Doubles, Doubles]:
    """Return the lowest and highest permitted price `[N]`: 0.01 and inf without limit, one tick wide at least."""
    free = np.isinf(rise)
    up = round_half_up(reference * (1 + np.where(free, 0.0, rise)))
    down = round_half_up(reference * (1 - np.where(free, 0.0, fall)))
    # The second rounding removes what the subtraction of a tick leaves in the last bits.
    high = np.where(free, np.inf, round_half_up(np.maximum(up, reference + 0.01)))
    low = np.where(free, 0.01, round_half_up(np.maximum(0.01, np.minimum(down, reference - 0.01))))
    return low, high

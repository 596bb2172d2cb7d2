"""What is expected to trade after a date's close, and the price each stock last traded at."""

import numpy as np

from alphaloom.panel import Panel
from alphaloom.typing import Bools, Doubles

LOCK_TOLERANCE = 0.004
"""A close this near to a limit price, in currency, is at the limit: below half of the smallest price step, 0.01."""


def tradable(panel: Panel, row: int, *, limits: bool = True) -> tuple[Bools, Bools]:
    """Return `(can_buy, can_sell) [N]` as expected at a row's close.

    A stock that is not listed, is suspended or has no close trades neither way. With `limits`, one that closed at its
    upper limit cannot be bought and one at its lower limit not sold. Only members of the universe can be bought.
    Knowable at the row's close; the day of execution decides again.
    """
    trades = (panel["is_listed"][row] == 1) & (panel["is_suspended"][row] == 0) & (panel["adj_close"][row] > 0)
    can_buy, can_sell = trades & panel.universe[row], trades.copy()
    if limits:
        close = panel["close"][row].astype(np.float64)
        # Comparisons with NaN (no limit that day) are false, and leave the stock free.
        can_buy &= ~(close >= panel["limit_up"][row] - LOCK_TOLERANCE)
        can_sell &= ~(close <= panel["limit_down"][row] + LOCK_TOLERANCE)
    return can_buy, can_sell


class LastPrices:
    """The last adjusted close of every stock, moved forward row by row; NaN before the first."""

    def __init__(self, panel: Panel, row: int) -> None:
        """Start at a row, with the last close at or before it."""
        self._close = panel["adj_close"]
        self.row = -1
        self.price: Doubles = np.full(panel.shape[1], np.nan)
        self.advance(row)

    def advance(self, row: int) -> Doubles:
        """Return the prices `[N]` as of a later row."""
        block = self._close[self.row + 1 : row + 1]
        if block.shape[0]:
            there = np.isfinite(block)
            last = block.shape[0] - 1 - np.argmax(there[::-1], axis=0)
            newest = np.take_along_axis(block, last[None], axis=0)[0]
            self.price = np.where(there.any(axis=0), newest, self.price)
        self.row = row
        return self.price

"""Return over a number of trading days, entered after the close of the day it is known."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from alphaloom.labels.base import Label, labels
from alphaloom.panel import Panel
from alphaloom.typing import Dates, Floats, Ints


@labels.register("forward_return")
class ForwardReturn(Label):
    """price[t + entry_lag + horizon] / price[t + entry_lag] - 1, of adjusted prices, a fraction.

    `horizon: 1, price: close` is qlib's label close[t+2] / close[t+1] - 1. NaN where the stock does not trade on one
    of the two days, or one of them lies beyond the data; what happens in between does not matter.
    """

    inputs = ("adj_close", "adj_open", "adj_vwap")
    horizon: Annotated[int, Field(ge=1)] = 5
    """Trading days held."""
    entry_lag: Annotated[int, Field(ge=1)] = 1
    """Trading days from t to the entry; at least 1, since t's close is known only when it is past."""
    price: Literal["close", "open", "vwap"] = "close"
    """Price at which the position is entered and left."""

    @property
    def required(self) -> tuple[str, ...]:
        """The one price field."""
        return (f"adj_{self.price}",)

    def entries(self, dates: Dates) -> Ints:
        """Return t + entry_lag, or -1 when beyond the data."""
        rows = np.arange(dates.size, dtype=np.int64) + self.entry_lag
        return np.where(rows < dates.size, rows, -1)

    def ends(self, dates: Dates) -> Ints:
        """Return t + entry_lag + horizon, or T when beyond the data."""
        rows = np.arange(dates.size, dtype=np.int64) + self.entry_lag + self.horizon
        return np.minimum(rows, dates.size)

    def compute(self, panel: Panel) -> Floats:
        """Return the forward return `[T, N]`."""
        price = panel[self.required[0]]
        out = np.full(panel.shape, np.nan, dtype=np.float32)
        start, stop = self.entry_lag, self.entry_lag + self.horizon
        if stop < panel.dates.size:
            entry, end = price[start : start - stop], price[stop:]
            out[:-stop] = end.astype(np.float64) / entry - 1.0
        return out

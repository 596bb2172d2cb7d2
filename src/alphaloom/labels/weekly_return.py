"""Return over the week that follows, known at the last trading day of the week."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from alphaloom.labels.base import Label, labels
from alphaloom.panel import Panel
from alphaloom.typing import Bools, Dates, Floats, Ints


def week_ends(dates: Dates) -> Bools:
    """Return `[T]` whether a date is the last of its ISO week, from these dates alone.

    The last date counts only when it is a Friday or later: before that, the week may still go on.

    >>> week_ends(np.array(["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-10"], dtype="datetime64[D]")).tolist()
    [False, True, False, False]
    """
    if dates.size == 0:
        return np.zeros(0, dtype=np.bool_)
    day = dates.astype("datetime64[D]").astype(np.int64) + 3  # 1970-01-01 was a Thursday: Mondays divide by 7
    return np.append(day[1:] // 7 > day[:-1] // 7, day[-1] % 7 >= 4)


@labels.register("weekly_return")
class WeeklyReturn(Label):
    """Return over the next `weeks` trading weeks, on the last trading day of each ISO week; NaN on all other days.

    By default the position is entered one trading day after t, at `price`, and left at the same price one trading day
    after the last day of the last week: whole weeks, without overlap, that can be traded. With `same_close` it runs
    from t's own close to the close of the last day of the week (seed 001 section 2.1 c), which nobody can trade who
    needs t's close to decide.

    A week without any trading day is skipped. NaN where the stock does not trade on the first or last day, or the span
    runs beyond the data, or beyond the last week that is surely over (see `week_ends`).
    """

    inputs = ("adj_close", "adj_open", "adj_vwap")
    weeks: Annotated[int, Field(ge=1)] = 1
    """Trading weeks held."""
    price: Literal["close", "open", "vwap"] = "close"
    """Price at which the position is entered and left."""
    same_close: bool = False
    """Enter at the very close at which the label is dated; needs `price: close`."""

    @model_validator(mode="after")
    def _close_only(self) -> "WeeklyReturn":
        if self.same_close and self.price != "close":
            raise ValueError(f"`same_close: true` enters at t's close and needs `price: close`; given {self.price!r}")
        return self

    @property
    def required(self) -> tuple[str, ...]:
        """The one price field."""
        return (f"adj_{self.price}",)

    def _span(self, dates: Dates) -> tuple[Ints, Ints, Ints]:
        """Return rows of the week ends that have a label, of their entries and of their ends."""
        last = np.flatnonzero(week_ends(dates)).astype(np.int64)
        lag = 0 if self.same_close else 1
        rows, stop = last[: -self.weeks], last[self.weeks :] + lag
        inside = stop < dates.size
        return rows[inside], rows[inside] + lag, stop[inside]

    def entries(self, dates: Dates) -> Ints:
        """Return the row of the entry: t + 1, or t with `same_close`; -1 on rows without a label."""
        out = np.full(dates.size, -1, dtype=np.int64)
        rows, entry, _ = self._span(dates)
        out[rows] = entry
        return out

    def ends(self, dates: Dates) -> Ints:
        """Return the row at whose price the position is left; T on rows without a label."""
        out = np.full(dates.size, dates.size, dtype=np.int64)
        rows, _, stop = self._span(dates)
        out[rows] = stop
        return out

    def compute(self, panel: Panel) -> Floats:
        """Return the weekly return `[T, N]`, NaN on all but the last trading days of weeks."""
        price = panel[self.required[0]]
        out = np.full(panel.shape, np.nan, dtype=np.float32)
        rows, entry, stop = self._span(panel.dates)
        out[rows] = price[stop].astype(np.float64) / price[entry] - 1.0
        return out

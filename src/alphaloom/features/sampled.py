"""Sampled features: another family's values at the ends of the last weeks or months."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from alphaloom.features.base import FeatureFamily, features
from alphaloom.panel import Panel
from alphaloom.typing import Dates, Floats, Ints

LONGEST = {"week": 7, "month": 31}
"""Most rows of a week and of a month."""


@features.register("sampled")
class Sampled(FeatureFamily):
    """The features of a family at the ends of the last weeks (or months), the unfinished one of today included.

    Step 0 is the week of row t so far, which ends on t; step 1 the last week before it with a trading day, which is
    over by then; and so on. No later row is needed to know that a week is over: t lies in another. A week is Monday to
    Sunday. Columns are `NAME_w4, ..., NAME_w0` (`_m` for months), step by step from the oldest, so that a row reads as
    a sequence `[steps, F]`. NaN where the inner feature is, before the panel's first row, or where a stock is not
    listed at t. Knowable at the row's close.
    """

    of: Annotated[FeatureFamily, features] = Field(default="cne5", validate_default=True)
    """The family that is sampled."""
    every: Literal["week", "month"] = "week"
    """Length of a step."""
    steps: Annotated[int, Field(ge=1, le=60)] = 5
    """How many steps, today's included."""
    value: Literal["last", "mean"] = "last"
    """The value on the step's last row, or the mean of its rows' known values."""

    @property
    def required(self) -> tuple[str, ...]:
        """Panel fields that it reads: those of the family, and `is_listed`."""
        return tuple(dict.fromkeys((*self.of.required, "is_listed")))

    @property
    def is_local(self) -> bool:
        """As the family's."""
        return self.of.is_local

    @property
    def lookback(self) -> int:
        """The family's, and the most rows that the steps can have."""
        whole_steps = self.steps if self.value == "mean" else self.steps - 1
        return self.of.lookback + LONGEST[self.every] * whole_steps

    def columns(self) -> list[str]:
        """Return A_w4, B_w4, ..., A_w0, B_w0, ..."""
        inner = self.of.columns()
        return [f"{name}_{self.every[0]}{k}" for k in range(self.steps - 1, -1, -1) for name in inner]

    def compute(self, panel: Panel) -> Floats:
        """Return the features `[T, N, steps * F]`."""
        daily = np.ascontiguousarray(self.of.compute(panel))
        rows = step_rows(panel.dates, self.every, self.steps)
        if self.value == "mean":
            daily = _mean_so_far(daily, _starts(panel.dates, self.every))
        F = daily.shape[2]
        out = np.empty((*panel.shape, self.steps * F), dtype=np.float32)
        for k in range(self.steps):
            into = out[:, :, k * F : (k + 1) * F]
            known = rows[:, k] >= 0
            into[known] = daily[rows[known, k]]
            into[~known] = np.nan
        out[panel["is_listed"] != 1] = np.nan
        return out


def step_rows(dates: Dates, every: str, steps: int) -> Ints:
    """Return the last row of each step, oldest first, today's row for the last `[T, steps]`; -1 before the panel."""
    starts = _starts(dates, every)
    first = np.unique(starts)
    step = np.searchsorted(first, starts)
    rows = np.full((dates.size, steps), -1, dtype=np.int64)
    rows[:, -1] = np.arange(dates.size)
    for back in range(1, steps):
        known = step >= back
        rows[known, steps - 1 - back] = first[step[known] - back + 1] - 1
    return rows


def _starts(dates: Dates, every: str) -> Ints:
    """Return the first row of each row's week or month `[T]`."""
    # Day 0 is a Thursday, so that weeks begin on days 4, 11, ...
    step = (dates.astype(np.int64) + 3) // 7 if every == "week" else dates.astype("datetime64[M]").astype(np.int64)
    return np.searchsorted(step, step, side="left")


def _mean_so_far(x: Floats, starts: Ints) -> Floats:
    """Return the mean of the known values `[T, N, F]` since the start of each row's step; NaN without any."""
    out = np.empty_like(x)
    total, count = np.zeros(x.shape[1:]), np.zeros(x.shape[1:])
    for t in range(x.shape[0]):
        if starts[t] == t:
            total[:], count[:] = 0.0, 0.0
        known = ~np.isnan(x[t])
        total += np.where(known, x[t], 0.0)
        count += known
        out[t] = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return out

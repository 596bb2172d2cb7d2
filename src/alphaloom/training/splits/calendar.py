"""Rolling and expanding windows of calendar months, purged by the labels' own spans."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from alphaloom.errors import DataError
from alphaloom.panel import as_date
from alphaloom.spec import DayText
from alphaloom.training.splits.base import Split, Window, splits, window_before
from alphaloom.typing import Dates, Ints


@splits.register("calendar")
class Calendar(Split):
    """Training spans before each test span, moved on by calendar months; the embargo lies before each later set.

    A date t trains only if its label's last row `ends[t]` lies before the first validation row, and validates only if
    it lies before the first test row, each less the embargo: nothing that fits a model reads a price of the days on
    which that model is judged. Each sample date is tested at most once.
    """

    trains_on_future: ClassVar[bool] = False

    mode: Literal["rolling", "expanding"] = "rolling"
    """`rolling` keeps the training span's length; `expanding` keeps its start (seed 001 section 3.1.1)."""
    train_months: Annotated[int, Field(ge=1)] = 24
    """Calendar months of training, validation tail included; with `expanding`, of the first window."""
    test_months: Annotated[int, Field(ge=1)] = 6
    """Calendar months of each test window, and the step from one window to the next."""
    first_test: DayText | None = None
    """First month of testing (2016-01); by default as soon as `train_months` of samples exist."""
    last_test: DayText | None = None
    """Last month that may begin a test window; by default as long as there are dates."""

    def windows(self, dates: Dates, rows: Ints, ends: Ints) -> list[Window]:
        """Return the windows in order of time (see `Split.windows`).

        Raises:
            DataError: fewer months of samples than one training window and one test date need, or a window has no
                training or no validation date left.
        """
        if rows.size == 0:
            raise DataError("There are no sample dates to cut into windows: widen the data's dates or the universe.")
        months = dates.astype("datetime64[M]")
        start = months[rows[0]]
        first = start + self.train_months if self.first_test is None else _month(self.first_test)
        last = months[rows[-1]] if self.last_test is None else min(months[rows[-1]], _month(self.last_test))
        if first > last:
            raise DataError(
                f"Windows need {self.train_months} months of training before the first test month {first}, but the "
                f"samples span {start} to {months[rows[-1]]}. Load earlier dates or shorten windows.train_months."
            )
        windows = []
        opens = first
        while opens <= last:
            begins = start if self.mode == "expanding" else opens - self.train_months
            span = rows[(months[rows] >= begins) & (months[rows] < opens)]
            test = rows[(months[rows] >= opens) & (months[rows] < opens + self.test_months)]
            if test.size:
                windows.append(
                    window_before(str(opens), span, test, ends, valid_share=self.valid_share, embargo=self.embargo)
                )
            opens = opens + self.test_months
        if not windows:
            raise DataError(f"No test window between {first} and {last} holds a sample date.")
        return windows


def _month(text: str) -> np.datetime64:
    month: np.datetime64 = as_date(text if len(text) > 7 else f"{text}-01").astype("datetime64[M]")
    return month

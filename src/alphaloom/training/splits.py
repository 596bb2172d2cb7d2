"""Rolling and expanding windows over sample dates, purged by the labels' own spans."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from alphaloom.errors import DataError
from alphaloom.panel import as_date
from alphaloom.spec import DayText, Spec
from alphaloom.typing import Dates, Ints


class WindowSettings(Spec):
    """How the sample dates are cut into training, validation and test windows."""

    mode: Literal["rolling", "expanding"] = "rolling"
    """`rolling` keeps the training span's length; `expanding` keeps its start (seed 001 section 3.1.1)."""
    train_months: Annotated[int, Field(ge=1)] = 24
    """Calendar months of training, validation tail included; with `expanding`, of the first window."""
    test_months: Annotated[int, Field(ge=1)] = 6
    """Calendar months of each test window, and the step from one window to the next."""
    valid_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the training dates, the latest ones, that serve early stopping; 0 for none."""
    embargo: Annotated[int, Field(ge=0)] = 0
    """Trading days left out before each validation and test window, on top of the purge."""
    first_test: DayText | None = None
    """First month of testing (2016-01); by default as soon as `train_months` of samples exist."""
    last_test: DayText | None = None
    """Last month that may begin a test window; by default as long as there are dates."""


@dataclass(frozen=True)
class Window:
    """Rows (positions on the panel's dates) of one window. `train` and `valid` precede `test` and are purged."""

    name: str
    train: Ints
    valid: Ints
    test: Ints
    purged: int
    """Sample dates left out of training or validation because their labels end too late."""

    @property
    def fit_rows(self) -> Ints:
        """Training and validation rows together, in order of time."""
        return np.concatenate([self.train, self.valid])


def rolling_windows(dates: Dates, rows: Ints, ends: Ints, settings: WindowSettings) -> list[Window]:
    """Return the windows in order of time; each sample date is tested at most once.

    A date t trains only if its label's last row `ends[t]` lies before the first validation row, and validates only if
    it lies before the first test row, each less the embargo: nothing that fits a model reads a price of the days on
    which that model is judged.

    Args:
        dates: all trading days `[T]`.
        rows: positions of the sample dates, increasing.
        ends: for every trading day the last row its label reads `[T]` (see `Label.ends`).
        settings: lengths in calendar months.

    Raises:
        DataError: fewer months of samples than one training window and one test date need.
    """
    if rows.size == 0:
        raise DataError("There are no sample dates to cut into windows: widen the data's dates or the universe.")
    months = dates.astype("datetime64[M]")
    start = months[rows[0]]
    first = start + settings.train_months if settings.first_test is None else _month(settings.first_test)
    last = months[rows[-1]] if settings.last_test is None else min(months[rows[-1]], _month(settings.last_test))
    if first > last:
        raise DataError(
            f"Windows need {settings.train_months} months of training before the first test month {first}, but the "
            f"samples span {start} to {months[rows[-1]]}. Load earlier dates or shorten windows.train_months."
        )
    windows = []
    opens = first
    while opens <= last:
        begins = start if settings.mode == "expanding" else opens - settings.train_months
        span = rows[(months[rows] >= begins) & (months[rows] < opens)]
        test = rows[(months[rows] >= opens) & (months[rows] < opens + settings.test_months)]
        if test.size:
            windows.append(_window(str(opens), span, test, ends, settings))
        opens = opens + settings.test_months
    if not windows:
        raise DataError(f"No test window between {first} and {last} holds a sample date.")
    return windows


def _window(name: str, span: Ints, test: Ints, ends: Ints, settings: WindowSettings) -> Window:
    known = span[ends[span] < test[0] - settings.embargo]
    n_valid = round(settings.valid_share * span.size)
    cut = known.size - max(0, n_valid - (span.size - known.size))
    train, valid = known[:cut], known[cut:]
    if n_valid and not valid.size:
        raise DataError(
            f"Window {name} has no validation date left: the labels of its last {n_valid} sample dates, meant for "
            "validation, end inside the test window. Raise windows.valid_share, lengthen windows.train_months, shorten "
            "the label or the embargo, or set valid_share to 0 to fit without early stopping."
        )
    if valid.size:
        train = train[ends[train] < valid[0] - settings.embargo]
    if train.size == 0:
        raise DataError(
            f"Window {name} has no training date left: {span.size} sample dates before it, all purged because their "
            "labels end inside the validation or test window. Lengthen windows.train_months or shorten the label."
        )
    return Window(name, train, valid, test, span.size - train.size - valid.size)


def _month(text: str) -> np.datetime64:
    month: np.datetime64 = as_date(text if len(text) > 7 else f"{text}-01").astype("datetime64[M]")
    return month


def sample_rows(dates: Dates, schedule: str) -> Ints:
    """Return positions of the sample dates: `daily`, `weekly`, `monthly` (last trading day of each), or `every N`.

    Raises:
        DataError: another schedule.
    """
    if schedule == "daily":
        return np.arange(dates.size)
    if schedule in {"weekly", "monthly"}:
        # ISO weeks start on Monday; the epoch 1970-01-01 was a Thursday.
        day = dates.astype(np.int64)
        period = (day + 3) // 7 if schedule == "weekly" else dates.astype("datetime64[M]").astype(np.int64)
        return np.flatnonzero(np.append(np.diff(period) != 0, True)) if dates.size else np.arange(0)
    head, _, count = schedule.partition(" ")
    if head == "every" and count.isdigit() and int(count) > 0:
        return np.arange(0, dates.size, int(count))
    raise DataError(f"Schedule {schedule!r} is unknown; use daily, weekly, monthly or 'every N' (trading days).")

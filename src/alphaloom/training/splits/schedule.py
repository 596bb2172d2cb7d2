"""Which trading days are sample dates."""

import numpy as np

from alphaloom.errors import DataError
from alphaloom.typing import Dates, Ints


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

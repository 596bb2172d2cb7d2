"""The deepest drawdowns of a series of returns: when each began, how deep it went, and when it was made good."""

import numpy as np
import polars as pl

from alphaloom.typing import Dates, Doubles

SCHEMA = {
    "peak": pl.Date,
    "trough": pl.Date,
    "recovery": pl.Date,
    "depth": pl.Float64,
    "days_down": pl.Int64,
    "days_up": pl.Int64,
}


def worst_drawdowns(dates: Dates, returns: Doubles, count: int = 5) -> pl.DataFrame:
    """Return the deepest drawdowns, the deepest first; no two share a day.

    Args:
        dates: days of the returns `[T]`; the first one is the base, whose return does not count.
        returns: daily returns `[T]`, fractions; without NaN from the second on.
        count: how many at most.

    Returns:
        `peak`: last day at the value that was not reached again before `recovery` (null while it has not been);
        `trough`: day of the lowest value in between; `depth`: its distance below the peak, a negative fraction;
        `days_down`, `days_up`: trading days from peak to trough and from there to recovery.
    """
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + returns[1:])])
    high = np.maximum.accumulate(wealth)
    below = wealth < high
    edges = np.diff(np.concatenate([[False], below, [False]]).astype(np.int8))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    rows = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        low = start + int(np.argmin(wealth[start:stop]))
        rows.append(
            {
                "peak": dates[start - 1].astype(object),
                "trough": dates[low].astype(object),
                "recovery": dates[stop].astype(object) if stop < wealth.size else None,
                "depth": float(wealth[low] / wealth[start - 1] - 1.0),
                "days_down": low - start + 1,
                "days_up": stop - low if stop < wealth.size else None,
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA).sort("depth").head(count)

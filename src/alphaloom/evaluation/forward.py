"""Forward returns: what a score is judged against."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alphaloom.errors import AlignmentError, DataError, UsageError
from alphaloom.typing import Array, Dates, Doubles, Ints


@dataclass(frozen=True, eq=False)
class Forward:
    """Returns that follow each of D evaluated dates.

    Attributes:
        returns: `[D, N]`, fractions; NaN where the entry or the exit price is missing. Knowable at `exits`.
        exits: `[D]`, the date on which each return is complete; NaT where that lies beyond the data.
        steps: how many evaluated dates the span covers, rounded up; above 1 neighbouring returns overlap.
        days: length of the span in trading days (the median, when spans differ), for annualising.
    """

    returns: Doubles
    exits: Dates
    steps: int
    days: float

    def __post_init__(self) -> None:
        if self.returns.ndim != 2 or self.exits.shape != self.returns.shape[:1]:
            raise AlignmentError(
                f"Forward returns must be [D, N] with exits [D]; got {self.returns.shape} and {self.exits.shape}."
            )
        if self.steps < 1 or not self.days > 0:
            raise UsageError(f"A forward return spans at least one step and some days; got {self.steps}, {self.days}.")

    def at(self, rows: Ints) -> "Forward":
        """Return the same for some of the dates: make it for all decisions, then take those that were scored."""
        return Forward(self.returns[rows], self.exits[rows], self.steps, self.days)


def forward_returns(price: Array, entry_rows: Ints, exit_rows: Ints) -> Doubles:
    """Return `price[exit] / price[entry] - 1`, `[D, N]`.

    Args:
        price: `[T, N]` adjusted prices; NaN where the stock does not trade. Prices are never carried forward, so a
            stock that is suspended or gone at either end has no return.
        entry_rows: `[D]` rows at which positions are opened.
        exit_rows: `[D]` rows at which they are closed.

    Returns:
        Fractions; NaN where either price is missing or a row lies outside `0 .. T - 1`.

    Raises:
        AlignmentError: as many entries as exits are needed.
        DataError: a price is zero or negative, or an exit is not after its entry.
    """
    if entry_rows.shape != exit_rows.shape or entry_rows.ndim != 1:
        raise AlignmentError(f"Entries and exits must both be [D]; got {entry_rows.shape} and {exit_rows.shape}.")
    backward = np.flatnonzero(exit_rows <= entry_rows)
    if backward.size:
        k = int(backward[0])
        raise DataError(f"Exit row {exit_rows[k]} is not after entry row {entry_rows[k]} (date number {k}).")
    bought, sold = _rows(price, entry_rows), _rows(price, exit_rows)
    wrong = (bought <= 0) | (sold <= 0)
    if wrong.any():
        d, n = (int(axis[0]) for axis in np.nonzero(wrong))
        raise DataError(
            f"{int(wrong.sum())} prices are zero or negative; first in column {n} at row {entry_rows[d]} or "
            f"{exit_rows[d]}. Adjusted prices must be positive, or NaN where there is none."
        )
    return sold / bought - 1.0


def forward_by_periods(
    price: Array, dates: Dates, rows: Ints, periods: Sequence[int] = (1, 4), *, lag: int = 1
) -> dict[str, Forward]:
    """Return one `Forward` per number of rebalancing periods ahead, named by that number.

    A score at `rows[k]` is entered at row `rows[k] + lag` and left at `rows[k + p] + lag`; it is knowable from that
    row on. With weekly rows, 1 and 4 are one and four weeks.

    Args:
        price: `[T, N]` adjusted prices of the fill (close, open or VWAP); NaN where the stock does not trade.
        dates: `[T]` dates of the price rows.
        rows: `[D]` rows of the decisions, increasing.
        periods: how many decisions later to leave.
        lag: rows between a decision and its fill; 0 fills at the decision's own close.

    Raises:
        UsageError: `rows` does not increase, or a period or the lag is out of range.
    """
    _check(rows, periods, lag, dates.size)
    D = rows.size
    result = {}
    for p in periods:
        later = np.full(D, dates.size, dtype=np.int64)
        later[: max(D - p, 0)] = rows[p:] + lag
        known = later < dates.size
        result[str(p)] = Forward(
            forward_returns(price, rows + lag, np.where(known, later, dates.size + lag + 1)),
            _exit_dates(dates, np.where(known, later, -1)),
            steps=p,
            days=_typical((later - rows - lag)[known], fallback=float(p)),
        )
    return result


def forward_by_days(
    price: Array, dates: Dates, rows: Ints, horizons: Sequence[int] = (1, 5, 10), *, lag: int = 1
) -> dict[str, Forward]:
    """Return one `Forward` per horizon in trading days, named by that number.

    A score at `rows[k]` is entered at `rows[k] + lag` and left `horizon` rows later. `steps` is the horizon over the
    median distance of the rows, rounded up. Arguments and errors as in `forward_by_periods`.
    """
    _check(rows, horizons, lag, dates.size)
    spacing = _typical(np.diff(rows), fallback=1.0)
    result = {}
    for h in horizons:
        exits = rows + lag + h
        result[str(h)] = Forward(
            forward_returns(price, rows + lag, exits),
            _exit_dates(dates, np.where(exits < dates.size, exits, -1)),
            steps=max(1, int(np.ceil(h / spacing))),
            days=float(h),
        )
    return result


def _rows(price: Array, rows: Ints) -> Doubles:
    inside = (rows >= 0) & (rows < price.shape[0])
    values = price[np.where(inside, rows, 0)].astype(np.float64)
    values[~inside] = np.nan
    return values


def _exit_dates(dates: Dates, rows: Ints) -> Dates:
    exits = dates[np.maximum(rows, 0)].astype("datetime64[D]")
    exits[rows < 0] = np.datetime64("NaT")
    return exits


def _typical(spans: Ints, *, fallback: float) -> float:
    return float(np.median(spans)) if spans.size else fallback


def _check(rows: Ints, spans: Sequence[int], lag: int, T: int) -> None:
    if rows.size == 0 or rows[0] < 0 or rows[-1] >= T or np.any(np.diff(rows) <= 0):
        raise UsageError(f"Decision rows must increase within 0 .. {T - 1}; got {rows.size} rows {rows[:5]}...")
    if not spans or min(spans) < 1:
        raise UsageError(f"Horizons must be 1 or more; got {list(spans)}.")
    if lag < 0:
        raise UsageError(f"lag must be 0 (fill at the decision's close) or more; got {lag}.")

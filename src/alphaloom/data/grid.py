"""Grid: the store's long rows on the dense axes of a panel."""

from functools import cached_property

import numpy as np
import polars as pl

from alphaloom.data.store import Store
from alphaloom.errors import MissingFieldError
from alphaloom.typing import Array, Bools, Dates, Doubles, Floats, Symbols


class Grid:
    """Axes of a store and its columns as `[T, N]` arrays.

    Dates are the days on which `bars` has a row (the trading calendar), symbols all that occur in `bars`, sorted. A
    store that holds nothing but a `frame` takes its axes from there.
    """

    def __init__(self, store: Store) -> None:
        tables = store.tables()
        if not {"bars", "frame"} & set(tables):
            raise MissingFieldError(
                f"The store {store.path} has neither bars nor a frame; it has: {', '.join(tables) or 'no tables'}. "
                "Import bars: every panel needs their dates and symbols."
            )
        self.store = store
        self.table = "bars" if "bars" in tables else "frame"
        keys = store.read(self.table, ["date", "symbol"])
        self.dates: Dates = keys["date"].unique().sort().to_numpy().astype("datetime64[D]")
        names = keys["symbol"].unique().sort()
        self.symbols: Symbols = names.to_numpy().astype(np.str_)
        self._names = names
        self._flat = self._positions(keys)

    @property
    def shape(self) -> tuple[int, int]:
        """T and N."""
        return self.dates.size, self.symbols.size

    def _positions(self, keys: pl.DataFrame) -> Array:
        """Return each row's place in the flattened `[T, N]` array, -1 outside the axes."""
        t = np.searchsorted(self.dates, keys["date"].to_numpy().astype("datetime64[D]"))
        t_safe = np.minimum(t, self.dates.size - 1)
        known = self.dates[t_safe] == keys["date"].to_numpy().astype("datetime64[D]")
        n = keys["symbol"].cast(pl.Enum(self._names), strict=False).to_physical().fill_null(-1).cast(pl.Int64)
        place: Array = t_safe.astype(np.int64) * self.symbols.size + n.to_numpy()
        return np.where(known & (n.to_numpy() >= 0), place, -1)

    def scatter(self, values: pl.Series, place: Array | None = None) -> Floats:
        """Return a column as `[T, N]`; NaN where the table has no row or a null."""
        numbers = values.cast(pl.Float32).fill_null(float("nan")).to_numpy()
        result = np.full(self.dates.size * self.symbols.size, np.nan, dtype=np.float32)
        place = self._flat if place is None else place
        if (place < 0).any():
            numbers, place = numbers[place >= 0], place[place >= 0]
        result[place] = numbers
        return result.reshape(self.shape)

    def column(self, table: str, name: str) -> Floats:
        """Return a column of `bars` or `frame` as `[T, N]`."""
        if table == self.table:
            return self.scatter(self.store.read(table, [name])[name])
        rows = self.store.read(table, ["date", "symbol", name])
        return self.scatter(rows[name], self._positions(rows))

    @cached_property
    def has_row(self) -> Bools:
        """Where the table has a row `[T, N]`."""
        result = np.zeros(self.dates.size * self.symbols.size, dtype=np.bool_)
        result[self._flat] = True
        return result.reshape(self.shape)

    @cached_property
    def listed(self) -> Bools:
        """From the first to the last row of each stock `[T, N]`."""
        before = np.logical_or.accumulate(self.has_row, axis=0)
        after = np.logical_or.accumulate(self.has_row[::-1], axis=0)[::-1]
        return before & after

    def row_of(self, days: Dates) -> Array:
        """Return the first row on or after each day; T for days after the last."""
        return np.searchsorted(self.dates, days, side="left")

    def column_of(self, symbols: pl.Series) -> Array:
        """Return each symbol's position, -1 for one that the store's bars do not have."""
        codes = symbols.cast(pl.Enum(self._names), strict=False).to_physical().fill_null(-1)
        return codes.cast(pl.Int64).to_numpy()


def carry_forward(values: Array, where: Bools | None = None) -> Array:
    """Return a copy `[T, N]` in which NaN takes the last value above it (only in the cells of `where`, if given)."""
    result = values.copy()
    last = np.full(values.shape[1], np.nan, dtype=values.dtype)
    for t in range(values.shape[0]):
        row = result[t]
        missing = np.isnan(row)
        np.copyto(last, row, where=~missing)
        np.copyto(row, last, where=missing if where is None else missing & where[t])
    return result


def trailing_sum(values: Doubles, window: int) -> Doubles:
    """Return sums over the last `window` rows `[T, N]`, NaN counted as 0."""
    total = np.cumsum(np.nan_to_num(values, nan=0.0), axis=0)
    total[window:] = total[window:] - total[:-window]
    return total

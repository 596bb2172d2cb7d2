"""Grid: the store's long rows on the dense axes of a panel."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from alphaloom.data.store import Store
from alphaloom.errors import MissingFieldError
from alphaloom.typing import Array, Bools, Dates, Doubles, Floats, Ints, Symbols

NEVER = np.iinfo(np.int64).max
"""First row of a stock without any row."""


@dataclass(frozen=True, eq=False)
class Past:
    """The first rows of a store, as far as its later rows depend on them.

    `dates [T]`; of each of the `symbols [N]` its `first` and `last` row (`NEVER` and -1 without one); by column the
    last value `carried [N]` forward, NaN without one.
    """

    dates: Dates
    symbols: Symbols
    first: Ints
    last: Ints
    carried: Mapping[str, Doubles]


class Grid:
    """Axes of a store and its columns as `[T, N]` arrays.

    Dates are the days on which `bars` has a row (the trading calendar), symbols all that occur in `bars`, sorted. A
    store that holds nothing but a `frame` takes its axes from there.

    With a `past` the grid begins at row `offset` of the calendar, anywhere up to the end of that past: only later rows
    are read. What the past carries forward then holds at its end, not at the offset.
    """

    def __init__(self, store: Store, past: Past | None = None, offset: int = 0) -> None:
        tables = store.tables()
        if not {"bars", "frame"} & set(tables):
            raise MissingFieldError(
                f"The store {store.path} has neither bars nor a frame; it has: {', '.join(tables) or 'no tables'}. "
                "Import bars: every panel needs their dates and symbols."
            )
        self.store = store
        self.table = axes_table(store)
        self.past = past
        self.offset = offset
        self.since = None if past is None else past.dates[offset].item()
        keys = store.read(self.table, ["date", "symbol"], since=self.since)
        self.dates: Dates = keys["date"].unique().sort().to_numpy().astype("datetime64[D]")
        before = [] if past is None else [pl.Series(past.symbols.tolist(), dtype=pl.String)]
        names = pl.concat([keys["symbol"], *before]).unique().sort()
        self.symbols: Symbols = names.to_numpy().astype(np.str_)
        self.calendar: Dates = self.dates if past is None else np.concatenate([past.dates[:offset], self.dates])
        self._names = names
        self._flat = self._positions(keys)
        self._columns: dict[str, pl.DataFrame] = {}

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
        rows = self._read(table, name)
        return self.scatter(rows[name], None if table == self.table else self._positions(rows))

    def _read(self, table: str, name: str) -> pl.DataFrame:
        """Return a column with its keys; the rows after a past are few and read together once."""
        if self.past is None:
            return self.store.read(table, [name] if table == self.table else ["date", "symbol", name])
        if table not in self._columns:
            self._columns[table] = self.store.read(table, since=self.since)
        return self._columns[table]

    @cached_property
    def has_row(self) -> Bools:
        """Where the table has a row `[T, N]`."""
        result = np.zeros(self.dates.size * self.symbols.size, dtype=np.bool_)
        result[self._flat] = True
        return result.reshape(self.shape)

    def spans(self, stop: int) -> tuple[Ints, Ints]:
        """Return each stock's first and last row `[N]` before row `stop` of the calendar; without one `NEVER`, -1."""
        rows = self.has_row[: stop - self.offset]
        some = rows.any(axis=0)
        first = np.where(some, self.offset + rows.argmax(axis=0), NEVER)
        last = np.where(some, self.offset + len(rows) - 1 - rows[::-1].argmax(axis=0), -1)
        if self.past is not None:
            first = np.minimum(first, self.from_past(self.past.first, NEVER))
            last = np.maximum(last, self.from_past(self.past.last, -1))
        return first, last

    def from_past(self, values: Array, fill: float) -> Array:
        """Return the past's values `[N_past]` on this grid's symbols `[N]`; `fill` for those it did not know."""
        result = np.full(self.symbols.size, fill, dtype=values.dtype)
        if self.past is not None:
            result[np.searchsorted(self.symbols, self.past.symbols)] = values
        return result

    def carried(self, name: str) -> Doubles | None:
        """Return the last value of a column in the past `[N]`, NaN without one; None where nothing is carried."""
        if self.past is None or name not in self.past.carried:
            return None
        return self.from_past(self.past.carried[name], np.nan)

    @cached_property
    def first_row(self) -> Ints:
        """Row of the calendar on which each stock has its first row `[N]`."""
        return self.spans(self.calendar.size)[0]

    @cached_property
    def listed(self) -> Bools:
        """From the first to the last row of each stock `[T, N]`."""
        first, last = self.spans(self.calendar.size)
        rows = self.offset + np.arange(self.dates.size)[:, None]
        return (first <= rows) & (rows <= last)

    def row_of(self, days: Dates) -> Array:
        """Return the first row on or after each day; T for days after the last."""
        return np.searchsorted(self.dates, days, side="left")

    def column_of(self, symbols: pl.Series) -> Array:
        """Return each symbol's position, -1 for one that the store's bars do not have."""
        codes = symbols.cast(pl.Enum(self._names), strict=False).to_physical().fill_null(-1)
        return codes.cast(pl.Int64).to_numpy()


def axes_table(store: Store) -> str:
    """Return the table that gives the axes: `bars`, or `frame` in a store that has nothing else."""
    return "bars" if "bars" in store.tables() else "frame"


def carry_forward(values: Array, where: Bools | None = None, start: Array | None = None) -> Array:
    """Return a copy `[T, N]` in which NaN takes the last value above it (only in the cells of `where`, if given).

    `start` `[N]` stands above the first row; without it nothing does.
    """
    result = values.copy()
    last = np.full(values.shape[1], np.nan, dtype=values.dtype)
    if start is not None:
        last[:] = start
    for t in range(values.shape[0]):
        row = result[t]
        missing = np.isnan(row)
        np.copyto(last, row, where=~missing)
        np.copyto(row, last, where=missing if where is None else missing & where[t])
    return result


def last_values(values: Array, start: Array | None = None) -> Doubles:
    """Return the last value of each column of `[T, N]` that is not NaN; that of `start` `[N]`, or NaN, without one."""
    there = ~np.isnan(values)
    last = values.shape[0] - 1 - there[::-1].argmax(axis=0)
    above = np.full(values.shape[1], np.nan) if start is None else start
    return np.where(there.any(axis=0), values[last, np.arange(values.shape[1])], above).astype(np.float64)


def trailing_sum(values: Doubles, window: int) -> Doubles:
    """Return sums over the last `window` rows `[T, N]`, NaN counted as 0; each reads the rows of its window alone."""
    known = np.nan_to_num(values, nan=0.0)
    total = known.copy()
    for k in range(1, min(window, len(known))):
        total[k:] += known[:-k]
    return total

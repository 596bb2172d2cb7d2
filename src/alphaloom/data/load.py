"""Loading: from the store to panels, index series and listing facts."""

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from alphaloom.data.field_cache import FieldCache
from alphaloom.data.fields import check_fields
from alphaloom.data.market_rules import MarketRules
from alphaloom.data.schema import TABLES
from alphaloom.data.store import Store
from alphaloom.errors import DataError, MissingFieldError, did_you_mean
from alphaloom.panel import Panel
from alphaloom.typing import Bools, Dates, Doubles, Symbols


def load_panel(
    store: Store,
    fields: Iterable[str],
    *,
    start: object = None,
    end: object = None,
    symbols: Iterable[str] | None = None,
    needed_by: Mapping[str, str] | None = None,
) -> Panel:
    """Return a panel of the store with the fields asked for, in that order.

    Dates are the trading calendar (days with bars), symbols all of the store, the universe the rows that traded. Each
    field is derived once over the whole store and kept, memory-mapped, in the store's cache, where it grows with the
    store (`alphaloom.data.field_cache`); loading from `start` therefore gives the same as loading all and cutting.

    Args:
        store: the market data.
        fields: names of `alphaloom.data.fields`; repeats are dropped.
        start: first date, or None for the store's.
        end: last date, or None for the store's.
        symbols: the stocks wanted, in any order; the panel sorts them. None for all.
        needed_by: who asks for a field, for error messages.

    Raises:
        MissingFieldError: a column or table that a field needs is absent.
        UnknownNameError: there is no such field.
        DataError: an unknown symbol, or no date between start and end.
    """
    names = list(dict.fromkeys(fields))
    check_fields(store, names, needed_by)
    panel = FieldCache(store).panel(names)
    first, stop = panel.span(start, end)
    if first >= stop:
        raise DataError(
            f"The store {store.path} has no trading day from {start or 'its start'} to {end or 'its end'}; it covers "
            f"{panel.dates[0]} to {panel.dates[-1]}."
        )
    if (first, stop) != (0, panel.dates.size):
        panel = panel.rows(first, stop)
    return panel if symbols is None else panel.columns(_wanted(panel.symbols, symbols, store))


def _wanted(known: Symbols, symbols: Iterable[str], store: Store) -> Bools:
    wanted = list(symbols)
    unknown = sorted(set(wanted) - set(known.tolist()))
    if unknown:
        raise DataError(
            f"{len(unknown)} symbols are not in the store {store.path}, first {unknown[0]!r}."
            f"{did_you_mean(unknown[0], known.tolist())}"
        )
    return np.isin(known, wanted)


def load_index(store: Store, index: str, dates: Dates, field: str = "close") -> Doubles:
    """Return an index's series on the dates `[T]`, in points; NaN on a date that the store lacks.

    Raises:
        MissingFieldError: no index_bars, no such index or field, or none of the dates.
    """
    rows = store.scan("index_bars").filter(pl.col("index") == index).collect()
    if rows.is_empty():
        names = sorted(store.scan("index_bars").select(pl.col("index").unique()).collect()["index"].to_list())
        raise MissingFieldError(f"The store {store.path} has no index {index!r}; it has: {', '.join(names)}.")
    if field not in rows.columns:
        raise MissingFieldError(f"Table 'index_bars' has no column {field!r}; it has: {', '.join(rows.columns)}.")
    days = rows["date"].to_numpy().astype("datetime64[D]")
    place = np.minimum(np.searchsorted(days, dates), days.size - 1)
    values = rows[field].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    result = np.where(days[place] == dates, values[place], np.nan)
    if np.isnan(result).all():
        raise MissingFieldError(
            f"Index {index} has no {field} on any date from {dates[0]} to {dates[-1]}; the store has it from "
            f"{days[0]} to {days[-1]}."
        )
    return result


def load_listing(store: Store) -> pl.DataFrame:
    """Return one row a symbol of the store, with the columns of the table `listing`; null unknown.

    The board is completed from the market's symbol patterns, so it is never null.
    """
    table = "bars" if "bars" in store.tables() else "frame"
    frame = store.scan(table).select(pl.col("symbol").unique().sort()).collect()
    if "listing" in store.tables():
        frame = frame.join(store.read("listing"), on="symbol", how="left")
    columns = TABLES["listing"].columns
    lacking = [name for name in columns if name not in frame.columns]
    frame = frame.with_columns(pl.lit(None, dtype=columns[name].dtype).alias(name) for name in lacking)
    boards = MarketRules.load(store.market).board_of(
        frame["symbol"].to_numpy().astype(np.str_), frame["board"].to_list()
    )
    return frame.with_columns(pl.Series("board", boards.tolist(), dtype=pl.String)).select(*columns)


def load_calendar(store: Store) -> Dates:
    """Return the trading days of the store `[T]`."""
    table = "bars" if "bars" in store.tables() else "frame"
    days = store.scan(table).select(pl.col("date").unique().sort()).collect()["date"]
    return days.to_numpy().astype("datetime64[D]")

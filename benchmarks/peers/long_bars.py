"""Bars of a long Parquet file, as both programs read them."""

from pathlib import Path

import numpy as np
import polars as pl


def long_bars(
    file: Path, days: int, stocks: int, seed: int
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Return dates, symbols, adjusted bars `[T, N]` and listed cells of some stocks over the file's first days.

    The file holds date, symbol, open, high, low, close (unadjusted), volume, amount and adj_factor; a row without
    volume is a suspended day.
    """
    rows = pl.scan_parquet(file)
    dates = rows.select("date").unique().collect()["date"].sort().head(days)
    known = rows.filter(pl.col("date") <= dates[-1]).select("symbol").unique().collect()["symbol"].sort().to_list()
    chosen = np.sort(np.random.default_rng(seed).choice(known, min(stocks, len(known)), replace=False))
    kept = rows.filter(pl.col("symbol").is_in(chosen.tolist()), pl.col("date") <= dates[-1]).collect()
    axis = dates.to_numpy().astype("datetime64[D]")
    t = np.searchsorted(axis, kept["date"].to_numpy().astype("datetime64[D]"))
    n = np.searchsorted(chosen, kept["symbol"].to_numpy().astype(np.str_))

    def field(name: str) -> np.ndarray:
        out = np.full((axis.size, chosen.size), np.nan)
        out[t, n] = kept[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return out

    factor, volume = field("adj_factor"), field("volume")
    traded = volume > 0
    wide = {name: field(name) * factor for name in ("open", "high", "low", "close")}
    wide["volume"] = volume / factor
    wide["vwap"] = np.divide(field("amount"), volume, out=np.full(volume.shape, np.nan), where=traded) * factor
    bars = {name: np.where(traded, array, np.nan).astype(np.float32) for name, array in wide.items()}
    listed = np.zeros(traded.shape, bool)
    for k in range(chosen.size):
        held = t[n == k]
        listed[held.min() : held.max() + 1, k] = True
    return axis, chosen, bars, listed

"""Small stores for tests: bars with suspensions, a late listing, an early end and a split, and every other table."""

from pathlib import Path

import numpy as np
import polars as pl
from panels import business_days

from alphaloom.data.store import Store

SYMBOLS = ["SH600000", "SH600004", "SH688001", "SZ000001", "SZ300001"]
BOARDS = ["main", "main", "star", "main", "chinext"]
EVENTS = 45
"""Days above which the bars have events."""


def bars(T: int = 60, seed: int = 0, start: str = "2020-01-02", symbols: list[str] | None = None) -> pl.DataFrame:
    """Return bars of the symbols, sorted by date and symbol.

    The second stock lists on day 10 and has no row on days 20 and 21; the third ends on day T - 5; the fourth is
    suspended on days 30 to 33 (flat bars, volume 0) and splits 2 for 1 on day 40. Up to 45 days nothing happens.
    """
    rng = np.random.default_rng(seed)
    names = symbols or SYMBOLS
    days = business_days(T, start)
    parts = []
    for n, symbol in enumerate(names):
        close = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.01, T))), 2)
        factor = np.ones(T)
        volume = np.round(np.exp(rng.normal(12, 0.5, T)))
        shares = np.full(T, 1e8 * (n + 1))
        keep = np.ones(T, dtype=bool)
        if n == 1 and T > EVENTS:
            keep[:10] = False
            keep[20:22] = False
        if n == 2 and T > EVENTS:
            keep[T - 5 :] = False
        if n == 3 and T > EVENTS:
            close[40:] = np.round(close[40:] / 2, 2)
            factor[40:] = 2.0
            shares[40:] *= 2
            close[30:34] = close[29]
            volume[30:34] = 0
        open_ = np.round(close * (1 + rng.normal(0, 0.002, T)), 2)
        high = np.round(np.maximum(open_, close) * 1.005, 2)
        low = np.round(np.minimum(open_, close) * 0.995, 2)
        idle = volume == 0
        open_, high, low = (np.where(idle, close, x) for x in (open_, high, low))
        parts.append(
            pl.DataFrame(
                {
                    "date": pl.Series(days[keep]).cast(pl.Date),
                    "symbol": [symbol] * int(keep.sum()),
                    "open": open_[keep],
                    "high": high[keep],
                    "low": low[keep],
                    "close": close[keep],
                    "volume": volume[keep],
                    "amount": np.where(idle, np.nan, volume * (high + low) / 2)[keep],
                    "adj_factor": factor[keep],
                    "turnover": np.where(idle, np.nan, volume / shares)[keep],
                    "total_shares": (shares * 1.5)[keep],
                }
            )
        )
    return pl.concat(parts).sort("date", "symbol")


def small_store(path: Path, T: int = 60, seed: int = 0) -> Store:
    """Return a new store with bars and every other table but the frame."""
    store = Store.create(path)
    frame = bars(T, seed)
    days = frame["date"].unique().sort()
    store.write("bars", frame)
    store.write(
        "listing",
        pl.DataFrame(
            {
                "symbol": SYMBOLS,
                "name": [f"Company {n}" for n in range(5)],
                "exchange": [name[:2] for name in SYMBOLS],
                "board": BOARDS,
                "list_date": [days[0].replace(year=2010), days[10], None, days[0].replace(year=2019), days[0]],
                "delist_date": pl.Series([None, None, days[-5], None, None], dtype=pl.Date),
            }
        ),
    )
    store.write(
        "industry",
        pl.DataFrame(
            {
                "symbol": [*SYMBOLS, "SH600000"],
                "from_date": [*[days[0].replace(year=2015)] * 5, days[25]],
                "industry": ["Banks", "Steel", "Chips", "Banks", "Steel", "Chips"],
            }
        ).sort("symbol", "from_date"),
    )
    lists = [
        ("2019-12-31", ["SH600000", "SH600004"], [0.6, 0.4]),
        (str(days[30]), ["SH600000", "SZ000001"], [0.7, 0.3]),
    ]
    store.write(
        "index_weights",
        pl.concat(
            pl.DataFrame({"index": "SH000300", "date": [day] * 2, "symbol": names, "weight": weights})
            for day, names, weights in lists
        ).with_columns(pl.col("date").str.to_date()),
    )
    close = pl.Series(np.linspace(4000, 4200, days.len()))
    store.write("index_bars", pl.DataFrame({"index": "SH000300", "date": days, "close": close}))
    store.write("fundamentals", fundamentals(days))
    return store


def fundamentals(days: pl.Series) -> pl.DataFrame:
    """Return announcements: two periods, a restatement of the first after the second, a correction of the second."""
    rows = [
        ("SH600000", "2019-09-30", days[5], 10.0),
        ("SH600000", "2019-12-31", days[15], 20.0),
        ("SH600000", "2019-09-30", days[25], 11.0),  # an older period, announced late: must not replace the newer
        ("SH600000", "2019-12-31", days[35], 21.0),  # the same period, corrected
        ("SZ000001", "2019-09-30", days[0].replace(year=2019, month=12, day=28), 5.0),  # a Saturday before the store
    ]
    frame = pl.DataFrame(rows, schema=["symbol", "period_end", "announce_date", "value"], orient="row")
    return frame.with_columns(pl.col("period_end").str.to_date(), pl.lit("book").alias("item"))

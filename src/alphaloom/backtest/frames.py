"""The ledger's arrays as tables and counts."""

import numpy as np
import polars as pl

from alphaloom.backtest import ledger
from alphaloom.backtest.result import FILLS_SCHEMA, NAV_SCHEMA, UNFILLED_SCHEMA
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.panel import Panel
from alphaloom.typing import Dates, Doubles, Ints, Symbols


def nav_frame(days: Doubles, dates: Dates, start: int, benchmark: Doubles | None) -> pl.DataFrame:
    """Return the table `BacktestResult.nav` of the ledger's daily table, which begins at row `start`."""
    nav = days[:, ledger.NAV]
    opening = np.concatenate([nav[:1], nav[:-1]])
    # A value of zero (everything written off) earns nothing from there on.
    base = np.where(opening > 0, opening, np.inf)
    ret = np.where(opening > 0, nav / base - 1.0, 0.0)
    columns: dict[str, object] = {
        "date": pl.Series(dates[start:]).cast(pl.Date),
        "nav": nav,
        "ret": ret,
        "turnover": (days[:, ledger.BOUGHT] + days[:, ledger.SOLD]) / 2.0 / base,
        "cost": days[:, ledger.COST] / base,
        "cash_weight": days[:, ledger.CASH] / np.where(nav > 0, nav, np.inf),
        "holdings": days[:, ledger.HOLDINGS].astype(np.int64),
        "unfilled": days[:, ledger.UNFILLED] / base,
        "cash": days[:, ledger.CASH],
        "stale_weight": days[:, ledger.STALE] / np.where(nav > 0, nav, np.inf),
    }
    if benchmark is None:
        columns |= {"benchmark_ret": [None] * nav.size, "excess_ret": [None] * nav.size}
    else:
        closes = benchmark[start:].astype(np.float64)
        bench = np.concatenate([[0.0], closes[1:] / closes[:-1] - 1.0])
        columns |= {"benchmark_ret": bench, "excess_ret": ret - bench}
    return pl.DataFrame({name: columns[name] for name in NAV_SCHEMA}, schema=NAV_SCHEMA)


def event_frames(events: Doubles, dates: Dates, symbols: Symbols) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables `BacktestResult.fills` and `.unfilled` of the ledger's events."""
    shares, price = events[:, ledger.SHARES], events[:, ledger.PRICE]
    value = shares * price
    every = pl.DataFrame(
        {
            "date": pl.Series(dates[events[:, ledger.ROW].astype(np.int64)]).cast(pl.Date),
            "symbol": pl.Series(symbols[events[:, ledger.COLUMN].astype(np.int64)].tolist(), dtype=pl.String),
            "side": pl.Series(np.where(events[:, ledger.SIDE] > 0, "buy", "sell").tolist(), dtype=pl.String),
            "shares": shares,
            "price": price,
            "value": value,
            "commission": events[:, ledger.COMMISSION],
            "duty": events[:, ledger.DUTY],
            "transfer_fee": events[:, ledger.FEE],
            "impact": events[:, ledger.SIDE] * shares * (price - events[:, ledger.REFERENCE]),
            "reason": pl.Series([ledger.FILL_REASONS[int(k)] for k in events[:, ledger.REASON]], dtype=pl.String),
            "missed": events[:, ledger.MISSED],
            "missed_value": events[:, ledger.MISSED] * events[:, ledger.REFERENCE],
            "block": pl.Series([ledger.UNFILLED_REASONS[int(k)] for k in events[:, ledger.BLOCK]], dtype=pl.String),
        }
    )
    fills = every.filter(pl.col("shares") > 0).select(*FILLS_SCHEMA)
    unfilled = every.filter(pl.col("block") != "").select(
        "date",
        "symbol",
        "side",
        pl.col("missed").alias("shares"),
        pl.col("missed_value").alias("value"),
        pl.col("block").alias("reason"),
    )
    return fills, unfilled.select(*UNFILLED_SCHEMA)


def counts(
    fills: pl.DataFrame,
    unfilled: pl.DataFrame,
    nav: pl.DataFrame,
    rows: Ints,
    panel: Panel,
    settings: BacktestSettings,
) -> dict[str, float]:
    """Return counts and sums of what happened: decisions, fills by kind, costs, what was not filled and why.

    `unfilled_mean` is the mean of `nav.unfilled` over the days on which a decision was traded.
    """
    traded = fills.filter(pl.col("reason") != "delisted")
    at = rows + settings.lag
    days = pl.Series(panel.dates[at[at < panel.dates.size]]).cast(pl.Date)
    executed = nav.filter(pl.col("date").is_in(days.implode()))["unfilled"].to_numpy()
    out = {
        "decisions": float(rows.size),
        "decisions_beyond_end": float((at >= panel.dates.size).sum()),
        "fills": float(traded.height),
        "delisted": float(fills.height - traded.height),
        "commission_total": float(fills["commission"].sum()),
        "duty_total": float(fills["duty"].sum()),
        "transfer_fee_total": float(fills["transfer_fee"].sum()),
        "impact_total": float(fills["impact"].sum()),
        "unfilled_mean": float(executed.mean()) if executed.size else float("nan"),
        "unfilled_orders": float(unfilled.height),
    }
    for reason in ledger.UNFILLED_REASONS[1:]:
        out[f"unfilled_{reason}"] = float((unfilled["reason"] == reason).sum())
    if settings.price == "vwap":
        t = np.searchsorted(panel.dates, traded["date"].to_numpy().astype("datetime64[D]"))
        place = {str(symbol): n for n, symbol in enumerate(panel.symbols)}
        n = np.array([place[s] for s in traded["symbol"].to_list()], dtype=np.int64)
        out["vwap_fallback_fills"] = float(np.isnan(panel["vwap"][t, n]).sum())
    return out

"""The ledger's arrays as tables and counts."""

import numpy as np
import polars as pl

from alphaloom.backtest import ledger
from alphaloom.backtest.result import NAV_SCHEMA, ORDERS_SCHEMA, UNFILLED_REASONS
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.panel import Panel
from alphaloom.typing import Dates, Doubles, Ints, Symbols

BY_OPENING_VALUE = {
    "commission": ledger.COMMISSIONS,
    "duty": ledger.DUTIES,
    "transfer_fee": ledger.FEES,
    "slippage": ledger.SLIPPAGES,
    "impact": ledger.IMPACTS,
    "borrow": ledger.BORROW,
    "interest": ledger.INTEREST,
    "dividends": ledger.DIVIDENDS,
    "dividend_tax": ledger.TAX,
    "unfilled": ledger.UNFILLED,
}
IN_CURRENCY = {
    "commission": ledger.COMMISSION,
    "duty": ledger.DUTY,
    "transfer_fee": ledger.FEE,
    "slippage": ledger.SLIPPAGE,
    "impact": ledger.IMPACT,
}
COSTS = (ledger.COMMISSIONS, ledger.DUTIES, ledger.FEES, ledger.SLIPPAGES, ledger.IMPACTS, ledger.BORROW)


def nav_frame(
    days: Doubles, dates: Dates, start: int, benchmark: Doubles | None, universe: Doubles | None
) -> pl.DataFrame:
    """Return the table `BacktestResult.nav` of the ledger's daily table, which begins at row `start`."""
    nav = days[:, ledger.NAV]
    opening = np.concatenate([nav[:1], nav[:-1]])
    # A value of zero (everything written off) earns nothing from there on.
    base = np.where(opening > 0, opening, np.inf)
    closing = np.where(nav > 0, nav, np.inf)
    ret = np.where(opening > 0, nav / base - 1.0, 0.0)
    columns: dict[str, object] = {
        "date": pl.Series(dates[start:]).cast(pl.Date),
        "nav": nav,
        "ret": ret,
        "benchmark_ret": None,
        "excess_ret": None,
        "universe_ret": None if universe is None else np.concatenate([[0.0], universe[start + 1 :]]),
        "turnover": (days[:, ledger.BOUGHT] + days[:, ledger.SOLD]) / 2.0 / base,
        "cost": days[:, COSTS].sum(axis=1) / base,
        **{name: days[:, column] / base for name, column in BY_OPENING_VALUE.items()},
        "cash_weight": days[:, ledger.MONEY] / closing,
        "short_weight": days[:, ledger.SHORTED] / closing,
        "holdings": days[:, ledger.HOLDINGS].astype(np.int64),
        "cash": days[:, ledger.MONEY],
        "stale_weight": days[:, ledger.STALE] / closing,
    }
    if benchmark is not None:
        closes = benchmark[start:].astype(np.float64)
        bench = np.concatenate([[0.0], closes[1:] / closes[:-1] - 1.0])
        columns |= {"benchmark_ret": bench, "excess_ret": ret - bench}
    whole = {name: [None] * nav.size if value is None else value for name, value in columns.items()}
    return pl.DataFrame({name: whole[name] for name in NAV_SCHEMA}, schema=NAV_SCHEMA)


def orders_frame(events: Doubles, dates: Dates, symbols: Symbols, rows: Ints) -> pl.DataFrame:
    """Return the table `BacktestResult.orders` of the ledger's events; `rows` are those of the decisions."""
    column = np.ascontiguousarray(events.T)
    days = pl.Series(dates).cast(pl.Date)
    decided = pl.Series(dates[rows]).cast(pl.Date)
    decision = pl.Series(column[ledger.DECISION].astype(np.int64))
    reasons = column[ledger.SUSPENDED : ledger.LOT + 1]
    largest = np.where(reasons.any(axis=0), reasons.argmax(axis=0) + 1, 0)
    data: dict[str, object] = {
        "decision": decided.gather(decision.set(decision < 0, None)),
        "date": days.gather(column[ledger.ROW].astype(np.int64)),
        "attempt": column[ledger.ATTEMPT].astype(np.int64),
        "symbol": pl.Series(symbols.tolist(), dtype=pl.String).gather(column[ledger.COLUMN].astype(np.int64)),
        "side": _text(("sell", "buy"), (column[ledger.SIDE] > 0).astype(np.int64)),
        "kind": _text(ledger.KINDS, column[ledger.KIND].astype(np.int64)),
        "wanted": column[ledger.WANTED],
        "filled": column[ledger.FILLED],
        "unfilled": reasons.sum(axis=0),
        "reason": _text(("", *UNFILLED_REASONS), largest),
        "price": column[ledger.PRICE],
        "reference": column[ledger.REFERENCE],
        "value": column[ledger.FILLED] * column[ledger.PRICE],
        "commission": column[ledger.COMMISSION],
        "duty": column[ledger.DUTY],
        "transfer_fee": column[ledger.FEE],
        "slippage": column[ledger.SLIPPAGE],
        "impact": column[ledger.IMPACT],
        **{f"unfilled_{reason}": reasons[k] for k, reason in enumerate(UNFILLED_REASONS)},
    }
    return pl.DataFrame(data, schema=ORDERS_SCHEMA)


def _text(names: tuple[str, ...], which: Ints) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(which)


def counts(
    events: Doubles,
    nav: pl.DataFrame,
    rows: Ints,
    panel: Panel,
    settings: BacktestSettings,
    tick: float,
) -> dict[str, float]:
    """Return counts and sums of what happened: decisions, fills, costs in currency, what was not filled and why.

    `unfilled_REASON` counts the orders, with all their attempts, of which some shares were never filled for that
    reason, on their last attempt; `unfilled_mean` is the mean of `nav.unfilled` over the days on which a decision was
    first traded. `delisted_value` is what positions were last marked at when they were closed for a delisting, and
    `delisted_recovered` what was got for them.
    """
    gone = events[events[:, ledger.KIND] == ledger.DELISTING]
    placed = events[events[:, ledger.KIND] != ledger.DELISTING]
    filled = placed[placed[:, ledger.FILLED] > 0]
    unfilled = _last_attempts(placed)[:, ledger.SUSPENDED : ledger.LOT + 1] > 0
    at = rows + settings.lag
    executed = nav["unfilled"].to_numpy()[at[at < panel.dates.size] - rows[0]]
    position = -gone[:, ledger.SIDE] * gone[:, ledger.FILLED]
    out = {
        "decisions": float(rows.size),
        "decisions_beyond_end": float((at >= panel.dates.size).sum()),
        "orders": float(unfilled.shape[0]),
        "fills": float(filled.shape[0]),
        "delisted": float(gone.shape[0]),
        "delisted_value": float(position @ gone[:, ledger.REFERENCE]),
        "delisted_recovered": float(position @ gone[:, ledger.PRICE]),
        "unfilled_mean": float(executed.mean()) if executed.size else float("nan"),
        "unfilled_orders": float(unfilled.any(axis=1).sum()),
    }
    out |= {f"unfilled_{reason}": float(unfilled[:, k].sum()) for k, reason in enumerate(UNFILLED_REASONS)}
    out |= {f"{name}_total": float(filled[:, column].sum()) for name, column in IN_CURRENCY.items()}
    t, n = filled[:, ledger.ROW].astype(np.int64), filled[:, ledger.COLUMN].astype(np.int64)
    if settings.price == "vwap":
        out["vwap_fallback_fills"] = float(np.isnan(panel["vwap"][t, n]).sum())
    if settings.price_limits:
        above = panel["high"][t, n] > panel["limit_up"][t, n] + tick / 2
        below = panel["low"][t, n] < panel["limit_down"][t, n] - tick / 2
        out["fills_beyond_limits"] = float((above | below).sum())
    return out


def _last_attempts(placed: Doubles) -> Doubles:
    """Return the events of each order's last attempt."""
    if not placed.size or placed[:, ledger.ATTEMPT].max() <= 1:
        return placed
    width = placed[:, ledger.COLUMN].max() + 1
    order = placed[:, ledger.DECISION] * width + placed[:, ledger.COLUMN]
    _, from_the_end = np.unique(order[::-1], return_index=True)
    last: Doubles = placed[placed.shape[0] - 1 - from_the_end]
    return last

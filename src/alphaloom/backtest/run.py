"""Replays target weights over a panel: checks what goes in, runs the ledger, and tells what came out."""

import numpy as np
import polars as pl

from alphaloom.backtest import frames, ledger, measures
from alphaloom.backtest.conventions import replay_conventions
from alphaloom.backtest.result import BacktestResult
from alphaloom.backtest.rules import trading_terms
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.backtest.state import Bars, Knobs
from alphaloom.data.market_rules import MarketRules
from alphaloom.errors import AlignmentError, DataError
from alphaloom.panel import Panel
from alphaloom.typing import Dates, Doubles, Floats, Ints

WEIGHT = "weight"
ROUNDING = 1e-5
"""How far a date's weights may sum beyond 1: float32 rounding."""


def required_fields(settings: BacktestSettings) -> list[str]:
    """Return the panel fields that a replay under these settings reads."""
    names = ["close", "volume", "is_suspended", "is_listed"]
    if settings.price != "close":
        names.append(settings.price)
    if settings.price == "vwap" and settings.vwap_fallback == "typical":
        names += ["high", "low"]
    if settings.price_limits:
        names += ["high", "low", "limit_up", "limit_down"]
    if settings.corporate_actions == "adj_factor":
        names.append("adj_factor")
    return list(dict.fromkeys(names))


def backtest(
    targets: Panel,
    panel: Panel,
    settings: BacktestSettings | None = None,
    *,
    benchmark: Doubles | None = None,
    universe: Doubles | None = None,
    listing: pl.DataFrame | None = None,
    rules: MarketRules | None = None,
) -> BacktestResult:
    """Return the replay of target weights, from the first decision to the panel's last date.

    Args:
        targets: panel with the field `weight`: NaN on every stock of a row without a decision; on a row with one,
            fractions of the net asset value (NaN counts as 0) summing to at most 1; below 0 for shares to be borrowed
            and sold, where `settings.short_selling` allows it. Decided at the row's close, traded `settings.lag` rows
            later.
        panel: market fields on the same axes (`required_fields`).
        settings: defaults when None.
        benchmark: closes of an index `[T]`; NaN only before the first decision.
        universe: daily returns `[T]` of the stocks that may be held (`universe_returns`), to compare with.
        listing: table with `symbol` and, where known, `board` and `delist_value`.
        rules: market rules; read by `settings.market` when None.

    Raises:
        AlignmentError: axes differ.
        DataError: no decision, a weight that is out of range, sums beyond the limits or names a stock without a price.
        MissingFieldError: the panel lacks a field.
        SettingError: the commission is above the market's cap, or the market's settlement is not kept.
    """
    settings = settings or BacktestSettings()
    rules = rules or MarketRules.load(settings.market)
    panel.same_axes(targets)
    rows, offsets, names, weights = decisions(targets, panel, settings)
    for what, series in (("benchmark", benchmark), ("universe", universe)):
        if series is not None and series.shape != panel.dates.shape:
            raise AlignmentError(f"The {what} has shape {series.shape}; the panel has {panel.dates.size} dates.")
    if benchmark is not None:
        _check_benchmark(benchmark, panel.dates, int(rows[0]))
    annual_days = settings.annual_days or float(rules.annual_days)
    days, events = ledger.replay(
        _bars(panel, settings),
        trading_terms(rules, settings, panel.dates, panel.symbols, listing),
        _knobs(settings, rules, annual_days),
        int(rows[0]),
        rows,
        offsets,
        names,
        weights,
    )
    nav = frames.nav_frame(days, panel.dates, int(rows[0]), benchmark, universe)
    orders = frames.orders_frame(events, panel.dates, panel.symbols, rows)
    counted = frames.counts(events, nav, rows, panel, settings, rules.tick)
    words = measures.conventions(annual_days, "index closes as given" if benchmark is not None else "")
    return BacktestResult(
        nav=nav,
        yearly=measures.yearly_of(nav, annual_days),
        metrics=measures.metrics_of(nav, annual_days) | counted,
        orders=orders,
        conventions=words | replay_conventions(settings, rules, panel.dates[rows[0] :]),
    )


def decisions(targets: Panel, panel: Panel, settings: BacktestSettings) -> tuple[Ints, Ints, Ints, Doubles]:
    """Return `rows [D]`, `offsets [D + 1]`, and the stocks and weights other than 0 of all decisions, concatenated.

    Raises:
        DataError: no row has weights; a weight is infinite, or negative without short selling; a row sums beyond 1, or
            its absolute weights beyond the gross limit; or a stock with a weight has no close on that row.
    """
    weight = targets[WEIGHT]
    # The largest of a row is NaN only where all are.
    rows = np.flatnonzero(~np.isnan(np.fmax.reduce(weight, axis=1))).astype(np.int64)
    if not rows.size:
        raise DataError(
            f"The field {WEIGHT!r} is NaN on all {targets.dates.size} dates: there is no decision to trade."
        )
    chosen = weight[rows].astype(np.float64)
    chosen[np.isnan(chosen)] = 0.0
    _check_weights(chosen, targets, rows, settings)
    chosen /= np.maximum(chosen.sum(axis=1), 1.0)[:, None]
    at, names = np.nonzero(chosen)
    close = panel["close"][rows[at], names]
    lacking = np.flatnonzero(~(close > 0))
    if lacking.size:
        k = lacking[0]
        raise DataError(
            f"{lacking.size} target weights name a stock without a close that day, first {panel.symbols[names[k]]} on "
            f"{panel.dates[rows[at[k]]]}. Only stocks listed at the decision can be held."
        )
    offsets = np.searchsorted(at, np.arange(rows.size + 1)).astype(np.int64)
    return rows, offsets, names.astype(np.int64), chosen[at, names]


def _check_weights(chosen: Doubles, targets: Panel, rows: Ints, settings: BacktestSettings) -> None:
    least = -np.inf if settings.short_selling else 0.0
    wrong = (chosen < least) | ~np.isfinite(chosen)
    if wrong.any():
        d, n = np.argwhere(wrong)[0]
        raise DataError(
            f"{int(wrong.sum())} target weights are negative or infinite, first {chosen[d, n]:g} for "
            f"{targets.symbols[n]} on {targets.dates[rows[d]]}. "
            + (
                "Infinite weights cannot be held."
                if settings.short_selling
                else "Set short_selling for short positions."
            )
        )
    sums = chosen.sum(axis=1)
    if (sums > 1.0 + ROUNDING).any():
        d = int(np.argmax(sums))
        raise DataError(
            f"Target weights of {targets.dates[rows[d]]} sum to {sums[d]:.6f}; at most 1 is allowed (no borrowing)."
        )
    if settings.short_selling:
        gross = np.abs(chosen).sum(axis=1)
        if (gross > settings.gross_limit + ROUNDING).any():
            d = int(np.argmax(gross))
            raise DataError(
                f"Absolute target weights of {targets.dates[rows[d]]} sum to {gross[d]:.6f}; gross_limit allows "
                f"{settings.gross_limit:g}."
            )


def _check_benchmark(benchmark: Doubles, dates: Dates, start: int) -> None:
    lacking = np.flatnonzero(~(benchmark[start:] > 0))
    if lacking.size:
        raise DataError(
            f"The benchmark has no close on {lacking.size} dates from {dates[start]} on, first "
            f"{dates[start + lacking[0]]}. Choose an index with a full history, or a later start."
        )


def _bars(panel: Panel, settings: BacktestSettings) -> Bars:
    needed = set(required_fields(settings))
    close = _shared(panel["close"])

    def field(name: str) -> Floats:
        # A field that these settings never read is represented by the closes, which costs no memory.
        return _shared(panel[name]) if name in needed else close

    return Bars(
        open=field("open"),
        high=field("high"),
        low=field("low"),
        close=close,
        vwap=field("vwap"),
        volume=field("volume"),
        factor=field("adj_factor"),
        suspended=field("is_suspended"),
        listed=field("is_listed"),
        limit_up=field("limit_up"),
        limit_down=field("limit_down"),
    )


def _shared(array: Floats) -> Floats:
    """Return the array contiguous and read-only, one type for the compiled ledger whatever the panel came from."""
    view = np.ascontiguousarray(array).view(np.ndarray)
    view.flags.writeable = False
    return view


def _knobs(settings: BacktestSettings, rules: MarketRules, annual_days: float) -> Knobs:
    return Knobs(
        capital=settings.capital,
        slippage=settings.slippage_bps * 1e-4,
        impact=settings.impact,
        participation=np.inf if settings.participation is None else settings.participation,
        cash_rate=settings.cash_rate_annual / annual_days,
        borrow_rate=settings.borrow_rate_annual / annual_days,
        recovery=settings.delist_recovery,
        tick=float(rules.tick),
        cents=1.0 / rules.fee_unit if rules.fee_unit > 0 else 0.0,
        round_up=rules.fee_rounding == "up",
        lag=settings.lag,
        carry_days=settings.carry_days,
        price={"vwap": ledger.VWAP, "open": ledger.OPEN, "close": ledger.CLOSE}[settings.price],
        typical=settings.vwap_fallback == "typical",
        at_fill=settings.sizing == "fill",
        limits=settings.price_limits,
        factors=settings.corporate_actions == "adj_factor",
        cash_dividends=settings.dividends == "cash",
        dividend_most=settings.dividend_most,
        dividend_tax=settings.dividend_tax,
        whole=settings.lots,
    )

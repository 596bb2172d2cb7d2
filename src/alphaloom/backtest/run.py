"""Replays target weights over a panel: checks what goes in, runs the ledger, and tells what came out."""

import numpy as np
import polars as pl

from alphaloom.backtest import frames, ledger, measures
from alphaloom.backtest.result import BacktestResult
from alphaloom.backtest.rules import trading_terms
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.backtest.state import Bars, Knobs
from alphaloom.data.market_rules import MarketRules
from alphaloom.errors import AlignmentError, DataError, SettingError
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
        names += ["limit_up", "limit_down"]
        if settings.price == "vwap":
            names += ["high", "low"]
    if settings.corporate_actions == "adj_factor":
        names.append("adj_factor")
    return list(dict.fromkeys(names))


def backtest(
    targets: Panel,
    panel: Panel,
    settings: BacktestSettings | None = None,
    *,
    benchmark: Doubles | None = None,
    listing: pl.DataFrame | None = None,
    rules: MarketRules | None = None,
) -> BacktestResult:
    """Return the replay of target weights, from the first decision to the panel's last date.

    Args:
        targets: panel with the field `weight`: NaN on every stock of a row without a decision; on a row with one,
            fractions of the net asset value (NaN counts as 0) summing to at most 1. Decided at the row's close,
            traded `settings.lag` rows later.
        panel: market fields on the same axes (`required_fields`).
        settings: defaults when None.
        benchmark: closes of an index `[T]`; NaN only before the first decision.
        listing: table with `symbol` and `board`, needed for lots.
        rules: market rules; read by `settings.market` when None.

    Raises:
        AlignmentError: axes differ.
        DataError: no decision, a weight that is negative, sums beyond 1 or names a stock without a price.
        MissingFieldError: the panel lacks a field.
    """
    settings = settings or BacktestSettings()
    rules = rules or MarketRules.load(settings.market)
    if rules.settlement_days > 1:
        raise SettingError(
            f"Market {rules.name!r} settles after {rules.settlement_days} days; the ledger keeps the rule that shares "
            "may be sold on the next trading day at the latest (settlement_days 0 or 1)."
        )
    panel.same_axes(targets)
    rows, offsets, names, weights = decisions(targets, panel)
    if benchmark is not None:
        _check_benchmark(benchmark, panel.dates, int(rows[0]))
    annual_days = settings.annual_days or float(rules.annual_days)
    bars = _bars(panel, settings)
    days, events = ledger.replay(
        bars,
        trading_terms(rules, settings, panel.dates, panel.symbols, listing),
        _knobs(settings, rules, annual_days),
        int(rows[0]),
        rows,
        offsets,
        names,
        weights,
    )
    nav = frames.nav_frame(days, panel.dates, int(rows[0]), benchmark)
    fills, unfilled = frames.event_frames(events, panel.dates, panel.symbols)
    metrics = measures.metrics_of(nav, annual_days) | frames.counts(fills, unfilled, nav, rows, panel, settings)
    words = measures.conventions(annual_days, "index closes as given" if benchmark is not None else "")
    return BacktestResult(
        nav=nav,
        yearly=measures.yearly_of(nav, annual_days),
        metrics=metrics,
        fills=fills,
        conventions=words | _replay_conventions(settings, rules),
        unfilled=unfilled,
    )


def decisions(targets: Panel, panel: Panel) -> tuple[Ints, Ints, Ints, Doubles]:
    """Return `rows [D]`, `offsets [D + 1]`, and the stocks and positive weights of all decisions, concatenated.

    Raises:
        DataError: no row has weights; a weight is negative or infinite, a row sums beyond 1, or a stock with a weight
            has no close on that row.
    """
    weight = targets[WEIGHT]
    rows = np.flatnonzero(~np.isnan(weight).all(axis=1)).astype(np.int64)
    if not rows.size:
        raise DataError(
            f"The field {WEIGHT!r} is NaN on all {targets.dates.size} dates: there is no decision to trade."
        )
    chosen = weight[rows].astype(np.float64)
    np.nan_to_num(chosen, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)
    bad = np.argwhere((chosen < 0) | ~np.isfinite(chosen))
    if bad.size:
        d, n = bad[0]
        raise DataError(
            f"{len(bad)} target weights are negative or infinite, first {chosen[d, n]:g} for {targets.symbols[n]} on "
            f"{targets.dates[rows[d]]}. The ledger holds long positions only."
        )
    sums = chosen.sum(axis=1)
    if (sums > 1.0 + ROUNDING).any():
        d = int(np.argmax(sums))
        raise DataError(
            f"Target weights of {targets.dates[rows[d]]} sum to {sums[d]:.6f}; at most 1 is allowed (no borrowing)."
        )
    chosen /= np.maximum(sums, 1.0)[:, None]
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


def _check_benchmark(benchmark: Doubles, dates: Dates, start: int) -> None:
    if benchmark.shape != dates.shape:
        raise AlignmentError(f"The benchmark has shape {benchmark.shape}; the panel has {dates.size} dates.")
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
    minimum = settings.commission_min
    return Knobs(
        capital=settings.capital,
        commission=settings.commission,
        commission_min=float(rules.commission_min) if minimum is None else minimum,
        slippage=settings.slippage_bps * 1e-4,
        impact=settings.impact,
        participation=np.inf if settings.participation is None else settings.participation,
        cash_rate=settings.cash_rate_annual / annual_days,
        recovery=settings.delist_recovery,
        tick=float(rules.tick),
        lag=settings.lag,
        carry_days=settings.carry_days,
        price={"vwap": ledger.VWAP, "open": ledger.OPEN, "close": ledger.CLOSE}[settings.price],
        typical=settings.vwap_fallback == "typical",
        at_fill=settings.sizing == "fill",
        limits=settings.price_limits,
        factors=settings.corporate_actions == "adj_factor",
    )


def _replay_conventions(settings: BacktestSettings, rules: MarketRules) -> dict[str, str]:
    price = {"vwap": "volume-weighted average price", "open": "open", "close": "close"}[settings.price]
    words = {
        "execution": f"decided at the close, traded {settings.lag} trading day(s) later at the {price}",
        "sizing": "shares at the last close before execution" if settings.sizing == "close" else "weights at the fill",
        "market": str(rules.name),
        "settlement": "sales before purchases, proceeds reusable the same day, one order a stock a day (T+1 holds)",
        "delisted": f"closed at {settings.delist_recovery:g} of the last price",
        "suspended": "neither bought nor sold; carried at the value of its last trading day",
        "carry": f"unfilled orders are tried on {settings.carry_days} further day(s), then dropped",
        "corporate_actions": (
            "shares grow with the adjustment factor: dividends are reinvested at once, untaxed, in fractions of a share"
            if settings.corporate_actions == "adj_factor"
            else "ignored"
        ),
    }
    if settings.price == "vwap":
        words["vwap_fallback"] = (
            "where a traded stock has no VWAP, (high + low + close) / 3"
            if settings.vwap_fallback == "typical"
            else "where a traded stock has no VWAP, no fill"
        )
    return words

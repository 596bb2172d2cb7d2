"""A market's terms on the axes of a panel: duties and fees by date, lots by board, what short sales need."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from alphaloom.backtest.settings import BacktestSettings
from alphaloom.backtest.state import Terms
from alphaloom.data.market_rules import MarketRules
from alphaloom.data.price_limits import Stocks, stocks_of
from alphaloom.data.rule_records import Dated, Levy, of_exchange, values
from alphaloom.errors import DataError, SettingError
from alphaloom.typing import Bools, Dates, Doubles, Symbols

LEVY = ("buy", "sell", "buy_share", "sell_share", "least", "most")


def trading_terms(
    rules: MarketRules, settings: BacktestSettings, dates: Dates, symbols: Symbols, listing: pl.DataFrame | None
) -> Terms:
    """Return duties, fees, commission and lots by date, and segments by stock; the settings' own figures come first.

    A stock's board is that of the listing table (columns `symbol` and `board`), else the one its symbol tells; what its
    shares were worth after the delisting stands in `delist_value`.

    Raises:
        DataError: a symbol's board is unknown, or a date lies before the rules begin.
        SettingError: the commission is beyond the market's cap, or shares may not be sold the day after their purchase.
    """
    stocks = _stocks(rules, symbols, listing)
    segment = np.zeros(symbols.size, dtype=np.int64)
    commission = _commission(rules, settings, dates)
    rates = []
    for g, (board, exchange, columns) in enumerate(stocks.segments()):
        segment[columns] = g
        lots = _lots(rules, board, exchange, dates) if settings.lots else np.zeros((dates.size, 2))
        duty = _levy(rules.duties, dates, exchange, "duty", settings.stamp_duty, both_sides=False)
        fee = _levy(rules.fees, dates, exchange, "fee", settings.transfer_fee, both_sides=True)
        rates.append(np.hstack([lots, commission, duty, fee]))
    _check_settlement(rules, dates)
    return Terms(
        segment=segment,
        rates=np.stack(rates),
        short_allowed=_short_allowed(rules, settings, dates),
        delist_value=_by_symbol(listing, "delist_value", symbols),
    )


def check_terms(rules: MarketRules, settings: BacktestSettings, dates: Dates) -> None:
    """Check what the rules allow of the settings, before anything is replayed.

    Raises:
        DataError: a date lies before the rules begin.
        SettingError: the commission is beyond the market's cap, or shares may not be sold the day after their purchase.
    """
    _commission(rules, settings, dates)
    _check_settlement(rules, dates)


def _stocks(rules: MarketRules, symbols: Symbols, listing: pl.DataFrame | None) -> Stocks:
    if listing is None or "board" not in listing.columns:
        return stocks_of(rules, symbols)
    board = dict(zip(listing["symbol"].to_list(), listing["board"].to_list(), strict=True))
    return stocks_of(rules, symbols, [board.get(str(symbol)) for symbol in symbols])


def _by_symbol(listing: pl.DataFrame | None, column: str, symbols: Symbols) -> Doubles:
    if listing is None or column not in listing.columns:
        return np.full(symbols.size, np.nan)
    known = listing.drop_nulls(column)
    value = dict(zip(known["symbol"].to_list(), known[column].to_list(), strict=True))
    return np.array([value.get(str(symbol), np.nan) for symbol in symbols], dtype=np.float64)


def _lots(rules: MarketRules, board: str, exchange: str, dates: Dates) -> Doubles:
    """Return smallest order and step `[T, 2]`; before a board's first day those of that day."""
    own = of_exchange(rules.lots_of(board), exchange)
    return np.column_stack([values(own, name, dates, before=getattr(own[0], name)) for name in ("minimum", "step")])


def _levy(
    levies: tuple[Levy, ...], dates: Dates, exchange: str, what: str, own: float | None, *, both_sides: bool
) -> Doubles:
    """Return a duty or fee `[T, 6]`, in the order of `LEVY`."""
    if own is not None:
        row = [own if both_sides else 0.0, own, 0.0, 0.0, 0.0, np.inf]
        return np.broadcast_to(np.array(row), (dates.size, len(LEVY))).copy()
    _require(levies, dates, what)
    rules = of_exchange(levies, exchange)
    # Before an exchange's first rule it was not open, and nothing trades: its first figures hold the place.
    first = [np.inf if getattr(rules[0], name) is None else getattr(rules[0], name) for name in LEVY]
    figures = zip(LEVY, first, strict=True)
    return np.column_stack([values(rules, name, dates, none=np.inf, before=figure) for name, figure in figures])


def _commission(rules: MarketRules, settings: BacktestSettings, dates: Dates) -> Doubles:
    """Return rate and least amount `[T, 2]`."""
    _require(rules.commissions, dates, "commission")
    rate, least = values(rules.commissions, "rate", dates), values(rules.commissions, "minimum", dates)
    cap = values(rules.commissions, "cap", dates, none=np.inf)
    if settings.commission is not None:
        rate = np.full(dates.size, settings.commission)
        above = np.flatnonzero(rate > cap)
        if above.size:
            raise SettingError(
                f"backtest.commission is {settings.commission:g}; market {rules.name!r} allows at most "
                f"{cap[above[0]]:g} on {dates[above[0]]}."
            )
    if settings.commission_min is not None:
        least = np.full(dates.size, settings.commission_min)
    return np.column_stack([rate, least])


def _short_allowed(rules: MarketRules, settings: BacktestSettings, dates: Dates) -> Bools:
    if not settings.short_selling:
        return np.zeros(dates.size, dtype=np.bool_)
    return values(rules.short_selling, "allowed", dates, before=0.0) > 0


def _check_settlement(rules: MarketRules, dates: Dates) -> None:
    _require(rules.settlement, dates, "settlement rule")
    days = values(rules.settlement, "sale_days", dates)
    if (days > 1).any():
        raise SettingError(
            f"Market {rules.name!r} lets bought shares be sold after {int(days.max())} days; the ledger keeps the rule "
            "that they may be sold on the next trading day at the latest (sale_days 0 or 1)."
        )


def _require(rules: Sequence[Dated], dates: Dates, what: str) -> None:
    if not rules or dates[0] < np.datetime64(rules[0].since, "D"):
        since = rules[0].since if rules else "never"
        raise DataError(f"No {what} is recorded for {dates[0]}; the first is from {since}.")

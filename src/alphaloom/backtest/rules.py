"""A market's terms on the axes of a panel: duties and fees by date, lots by stock."""

import numpy as np
import polars as pl

from alphaloom.backtest.settings import BacktestSettings
from alphaloom.backtest.state import Terms
from alphaloom.data.market_rules import MarketRules
from alphaloom.typing import Dates, Doubles, Symbols


def trading_terms(
    rules: MarketRules, settings: BacktestSettings, dates: Dates, symbols: Symbols, listing: pl.DataFrame | None
) -> Terms:
    """Return duties and fees `[T]` by date and lots `[N]` by stock; the settings' own figures take precedence.

    A stock's board is that of the listing table (columns `symbol` and `board`), else the one its symbol tells.

    Raises:
        DataError: lots are asked for and a symbol's board is unknown, or a date lies before the rules begin.
    """
    minimum, step = np.zeros(symbols.size), np.zeros(symbols.size)
    if settings.lots:
        for n, board in enumerate(rules.board_of(symbols, _listed_boards(symbols, listing))):
            lot = rules.lot(str(board))
            minimum[n], step[n] = lot.minimum, lot.step
    if settings.stamp_duty is None:
        sell = _by_date([rules.sell_duty(date) for date in dates])
        buy = _by_date([rules.buy_duty(date) for date in dates])
    else:
        sell, buy = np.full(dates.size, settings.stamp_duty), np.zeros(dates.size)
    if settings.transfer_fee is None:
        fee = _by_date([rules.transfer_fee(date) for date in dates])
    else:
        fee = np.full(dates.size, settings.transfer_fee)
    return Terms(minimum, step, sell, buy, fee)


def _listed_boards(symbols: Symbols, listing: pl.DataFrame | None) -> list[str | None] | None:
    if listing is None or "board" not in listing.columns:
        return None
    board = dict(zip(listing["symbol"].to_list(), listing["board"].to_list(), strict=True))
    return [board.get(str(symbol)) for symbol in symbols]


def _by_date(values: list[float]) -> Doubles:
    return np.array(values, dtype=np.float64)

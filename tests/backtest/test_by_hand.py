"""Cases worked by hand: every number is what a pocket calculator gives, with the rules of the day beside it."""

import numpy as np
import polars as pl
import pytest
from replays import small, weights_on

from alphaloom.backtest.run import backtest
from alphaloom.backtest.settings import BacktestSettings


def order(result, symbol, side=None):
    """The orders of one stock as plain records."""
    rows = result.orders.filter(pl.col("symbol") == symbol)
    return (rows if side is None else rows.filter(pl.col("side") == side)).to_dicts()


def test_two_decisions_with_all_costs():
    """Cash too short for both orders: both shrink alike and round down to hundreds; the sale pays duty.

    100,000 yuan, half in A at 10, half in B at 20: 5,000 and 2,500 shares. Next day A costs 11: 55,000 + 50,000, with a
    commission of 0.1 % 105,105 in all. Both shrink by 100,000 / 105,105 = 0.951430 to 4,757 and 2,378 shares and round
    down to 4,700 and 2,300: 51,700 + 46,000 and 51.70 + 46.00 of commission leave 2,202.30. Then A is at 12 and B at
    19; all of A is sold on 2024-01-05: 56,400 less 56.40 of commission and 0.05 % duty, 28.20.
    """
    panel = small([[10.0, 20.0, 5.0], [11.0, 20.0, 5.0], [12.0, 19.0, 5.0], [12.0, 19.0, 6.0]])
    targets = weights_on(panel, {0: [0.5, 0.5, 0.0], 2: [0.0, 0.5, 0.5]})
    config = BacktestSettings(
        capital=100_000, participation=None, commission=0.001, slippage_bps=0, price="close", transfer_fee=0.0
    )
    result = backtest(targets, panel, config)
    first = result.orders.filter(pl.col("date") == panel.dates[1].item())
    assert first["wanted"].to_list() == [5000, 2500]
    assert first["unfilled_cash"].to_list() == [243, 122]
    assert first["unfilled_lot"].to_list() == [57, 78]
    assert first["filled"].to_list() == [4700, 2300]
    assert first["commission"].to_list() == [51.70, 46.00]
    assert result.nav["cash"][1] == pytest.approx(2202.30)
    assert result.nav["nav"][2] == pytest.approx(2202.30 + 4700 * 12 + 2300 * 19)
    (sale,) = order(result, "SH600000", "sell")
    assert (sale["filled"], sale["commission"], sale["duty"]) == (4700, 56.40, 28.20)


def test_a_shanghai_sale_before_august_2015():
    """Fees by par value: 0.03 % of 1 yuan a share, beside 0.1 % duty and the least commission of 5 yuan.

    1,000 shares bought at 8 on 2015-07-28 cost 8,000 + 5.00 (0.025 % would be 2.00) + 0.30. Sold at 9 on 2015-07-30
    they bring 9,000 - 5.00 - 9.00 - 0.30. A stock of Shenzhen pays 0.00255 %: 0.20 and 0.23 instead of 0.30 twice.
    """
    panel = small(
        [[8.0, 8.0], [8.0, 8.0], [9.0, 9.0], [9.0, 9.0]], symbols=["SH600000", "SZ000001"], start="2015-07-27"
    )
    targets = weights_on(panel, {0: [0.4, 0.4], 2: [0.0, 0.0]})
    config = BacktestSettings(capital=20_000, participation=None, slippage_bps=0, price="close")
    result = backtest(targets, panel, config)
    buy, sale = order(result, "SH600000")
    assert [buy[name] for name in ("filled", "commission", "duty", "transfer_fee")] == [1000, 5.0, 0.0, 0.30]
    assert [sale[name] for name in ("filled", "commission", "duty", "transfer_fee")] == [1000, 5.0, 9.0, 0.30]
    assert [o["transfer_fee"] for o in order(result, "SZ000001")] == [0.20, 0.23]
    assert result.nav["cash"][-1] == pytest.approx(20_000 + 2 * 1000 - 4 * 5.0 - 2 * 9.0 - 0.60 - 0.43)


def test_a_locked_stock_a_thin_one_and_one_on_star():
    """Wanted 30,000 of each of three stocks at 10: one is locked at its limit, one trades 8,250 shares, one is STAR's.

    A (main board) opens, trades and closes at 11.00, its upper limit: nothing is bought. B trades 8,250 shares, a tenth
    is 825, eight lots are 800: 2,175 shares are left by volume and 25 by lots. C (STAR) takes 3,000 at once. The second
    day A trades freely and is carried: 3,000 at 10.5; B trades 5,000 more, 500 of the 2,200 wanted.
    """
    close = [[10.0] * 3, [11.0, 10.0, 10.0], [10.5, 10.0, 10.0]]
    limits = {"limit_up": [[11.0] * 3, [11.0] * 3, [12.1, 11.0, 11.0]], "limit_down": np.full((3, 3), 9.0)}
    volume = [[1e7] * 3, [1e7, 8250, 1e7], [1e7, 5000, 1e7]]
    panel = small(close, symbols=["SH600000", "SH600001", "SH688001"], volume=volume, **limits)
    config = BacktestSettings.frictionless(
        capital=100_000, lots=True, price_limits=True, participation=0.1, carry_days=1, sizing="close", price="close"
    )
    result = backtest(weights_on(panel, {0: [0.3, 0.3, 0.3]}), panel, config)
    locked, thin, star = (order(result, symbol) for symbol in ("SH600000", "SH600001", "SH688001"))
    assert [(o["kind"], o["filled"], o["reason"]) for o in locked] == [("target", 0, "limit_up"), ("carried", 3000, "")]
    assert [(o["wanted"], o["filled"]) for o in thin] == [(3000, 800), (2200, 500)]
    assert [(o["unfilled_participation"], o["unfilled_lot"]) for o in thin] == [(2175, 25), (1700, 0)]
    assert [(o["wanted"], o["filled"]) for o in star] == [(3000, 3000)]
    assert result.nav["cash"][-1] == pytest.approx(100_000 - 3000 * 10.5 - 1300 * 10 - 3000 * 10)


def test_dividend_split_and_delisting():
    """A dividend of 0.50 a share in cash with a tenth withheld, a 3-for-2 split, and 40 % recovered at the end.

    1,001 shares cannot be bought: 1,000 at 10 of 10,010 yuan leave 10. The price falls to 9.50 with the factor at
    10 / 9.5: a rise of 5.3 %, so a dividend, of which 500 - 50 is paid. Then the factor rises by half: 1,500 shares at
    6.333. Two days later there are no bars: 0.4 x 6.30 a share.
    """
    factor = np.array([1.0, 1.0, 10 / 9.5, 15 / 9.5, 15 / 9.5, np.nan])[:, None]
    close = np.array([10.0, 10.0, 9.5, 19 / 3, 6.3, np.nan])[:, None]
    listed = np.array([1.0, 1, 1, 1, 1, np.nan])[:, None]
    panel = small(close, adj_factor=factor, is_listed=listed, volume=np.where(np.isnan(close), np.nan, 1e9))
    config = BacktestSettings.frictionless(
        capital=10_010,
        lots=True,
        dividends="cash",
        dividend_tax=0.1,
        delist_recovery=0.4,
        sizing="close",
        price="close",
    )
    result = backtest(weights_on(panel, {0: [1.0]}), panel, config)
    assert result.orders["filled"].to_list() == [1000, 1500]
    assert result.nav["cash"].to_list()[:3] == pytest.approx([10_010, 10, 460], rel=1e-6)
    assert result.nav["dividend_tax"][2] == pytest.approx(50 / 10_010, rel=1e-5)
    assert result.nav["nav"][3] == pytest.approx(460 + 1500 * 19 / 3, rel=1e-6)
    assert result.nav["nav"][-1] == pytest.approx(460 + 1500 * 0.4 * 6.3, rel=1e-6)


def test_a_short_sale_in_the_us():
    """Half long, half short: proceeds stay in cash, the borrowed shares cost 2.52 % a year, fees are rounded up.

    10,000 dollars: 100 shares of A at 50 bought, 125 of B at 40 sold short on 2015-03-03. The SEC takes 0.00184 % of
    5,000 = 0.092, booked as 0.10; FINRA 0.000119 x 125 = 0.015, booked as 0.02. Cash: 10,000 - 5,000 + 5,000 - 0.12. A
    day later the loan costs 5,000 x 0.0252 / 252 = 0.50, and B at 36 gains 500.
    """
    panel = small([[50.0, 40.0], [50.0, 40.0], [50.0, 36.0]], symbols=["A", "B"], start="2015-03-02")
    config = BacktestSettings(
        market="us", capital=10_000, participation=None, slippage_bps=0, price="close", price_limits=False,
        short_selling=True, borrow_rate_annual=0.0252,
    )  # fmt: skip
    result = backtest(weights_on(panel, {0: [0.5, -0.5]}), panel, config)
    sale, buy = result.orders.to_dicts()
    assert [buy[name] for name in ("symbol", "filled", "commission", "duty", "transfer_fee")] == ["A", 100, 0, 0, 0]
    assert [sale[name] for name in ("symbol", "filled", "duty", "transfer_fee")] == ["B", 125, 0.10, 0.02]
    assert result.nav["cash"].to_list() == pytest.approx([10_000, 9_999.88, 9_999.38])
    assert result.nav["nav"].to_list() == pytest.approx([10_000, 9_999.88, 9_999.38 + 5_000 - 125 * 36])
    assert result.nav["short_weight"][1] == pytest.approx(5_000 / 9_999.88)
    assert result.nav["borrow"][2] == pytest.approx(0.50 / 9_999.88)

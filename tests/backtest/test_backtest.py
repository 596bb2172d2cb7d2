"""What the ledger does with suspensions, limits, lots, volume, cash, corporate actions, delistings and bad input."""

import math

import numpy as np
import polars as pl
import pytest
from panels import random_panel
from replays import random_targets, small, weights_on

from alphaloom.backtest.run import backtest, required_fields
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.errors import AlignmentError, DataError, MissingFieldError, SettingError
from alphaloom.panel import Panel

PLAIN = BacktestSettings.frictionless()


def test_nothing_trades_before_the_lag():
    """A decision at row t is traded at row t + lag, and one too close to the end is counted, not traded."""
    panel = small(np.full((8, 2), 10.0))
    for lag in (1, 3):
        result = backtest(weights_on(panel, {1: [0.5, 0.5], 7: [1, 0]}), panel, PLAIN.model_copy(update={"lag": lag}))
        assert result.fills["date"].unique().to_list() == [panel.dates[1 + lag].item()]
        assert result.metrics["decisions_beyond_end"] == 1.0


def test_the_order_of_symbols_does_not_matter():
    """Reordering the stocks leaves the values as they are."""
    panel = random_panel(60, 10, seed=2)
    targets = random_targets(panel)
    order = np.random.default_rng(0).permutation(10)
    swapped = [
        Panel(p.dates, p.symbols[order], p.universe[:, order], {k: a[:, order] for k, a in p.fields.items()})
        for p in (targets, panel)
    ]
    a, b = backtest(targets, panel, PLAIN), backtest(*swapped, PLAIN)
    np.testing.assert_allclose(a.nav["nav"].to_numpy(), b.nav["nav"].to_numpy(), rtol=1e-8)


def test_suspended_stock_is_neither_bought_nor_sold_and_keeps_its_value():
    """Suspension blocks both sides, is recorded, and the holding is carried at its last value."""
    close = np.full((7, 2), 10.0)
    close[3:5, 0] = 10.0
    suspended = np.zeros((7, 2))
    suspended[3:5, 0] = 1
    close[5, 0] = 7.0
    panel = small(close, is_suspended=suspended)
    result = backtest(weights_on(panel, {0: [0.5, 0.5], 2: [0, 1], 3: [1, 0]}), panel, PLAIN)
    blocked = result.unfilled.filter(pl.col("symbol") == "SH600000")
    assert blocked["reason"].to_list() == ["suspended", "suspended"]
    assert blocked["side"].to_list() == ["sell", "buy"]
    assert result.nav["stale_weight"].to_list()[3:5] == pytest.approx([0.5, 0.5])
    # At row 4 the other stock was sold to buy the suspended one: its half is cash, and stays cash.
    assert result.nav["nav"][5] == pytest.approx(1e8 * (0.5 * 0.7 + 0.5))


def test_factor_change_during_suspension_keeps_the_value():
    """An ex-rights day while suspended moves neither the value nor, after it, the accounting."""
    close = np.array([[10.0, 10], [10, 10], [10, 10], [5, 10], [5, 10]])
    suspended = np.zeros((5, 2))
    suspended[2:4, 0] = 1
    factor = np.array([[1.0, 1], [1, 1], [1, 1], [2, 1], [2, 1]])
    result = backtest(
        weights_on(panel := small(close, is_suspended=suspended, adj_factor=factor), {0: [0.5, 0.5]}), panel, PLAIN
    )
    assert result.nav["nav"].to_list() == pytest.approx([1e8] * 5)


def test_split_and_dividend_are_total_return():
    """When price halves and the factor doubles the holding keeps its value; without actions it halves."""
    close = np.array([[10.0], [10], [5], [5]])
    panel = small(close, adj_factor=np.array([[1.0], [1], [2], [2]]))
    targets = weights_on(panel, {0: [1.0]})
    assert backtest(targets, panel, PLAIN).nav["nav"][-1] == pytest.approx(1e8)
    ignored = BacktestSettings.frictionless(corporate_actions="none")
    assert backtest(targets, panel, ignored).nav["nav"][-1] == pytest.approx(5e7)


@pytest.mark.parametrize(
    ("price", "bar", "buys"),
    [
        ("vwap", {"open": 11.0, "low": 11.0, "high": 11.0}, False),
        ("vwap", {"open": 11.0, "low": 10.5, "high": 11.0}, True),
        ("open", {"open": 11.0, "low": 10.5, "high": 11.0}, False),
        ("open", {"open": 10.9, "low": 10.5, "high": 11.0}, True),
        ("close", {"open": 10.9, "low": 10.5, "high": 11.0}, False),
    ],
)
def test_a_stock_locked_at_its_upper_limit_cannot_be_bought(price, bar, buys):
    """VWAP needs one trade below the limit that day; open and close must themselves be below it."""
    fields = {name: np.array([[10.0], [value]]) for name, value in bar.items()}
    fields |= {"limit_up": [[11.0], [11.0]], "limit_down": [[9.0], [9.0]], "vwap": [[10.0], [10.9]]}
    panel = small([[10.0], [11.0]], **fields)
    config = BacktestSettings.frictionless(price=price, price_limits=True)
    result = backtest(weights_on(panel, {0: [1.0]}), panel, config)
    assert (result.fills.height == 1) is buys
    if not buys:
        assert result.unfilled["reason"].to_list() == ["limit_up"]


def test_a_stock_locked_at_its_lower_limit_cannot_be_sold():
    """The sale is recorded as unfilled and carried to the next day when the settings say so."""
    low = [[10.0], [10.0], [9.0], [8.5]]
    panel = small(low, limit_down=[[9.0], [9.0], [9.0], [8.1]], limit_up=[[11.0], [11.0], [11.0], [9.9]])
    targets = weights_on(panel, {0: [1.0], 1: [0.0]})
    once = backtest(targets, panel, BacktestSettings.frictionless(price_limits=True))
    assert once.unfilled["reason"].to_list() == ["limit_down"]
    assert once.nav["holdings"][-1] == 1
    again = backtest(targets, panel, BacktestSettings.frictionless(price_limits=True, carry_days=1))
    assert again.fills["kind"].to_list() == ["target", "carried"]
    assert again.nav["holdings"][-1] == 0


def test_slippage_stays_within_the_limits():
    """No fill is worse than the day's limit price."""
    panel = small([[10.0], [10.99]], limit_up=[[11.0], [11.0]], limit_down=[[9.0], [9.0]], low=[[10.0], [10.0]])
    config = BacktestSettings.frictionless(price_limits=True, slippage_bps=100)
    assert backtest(weights_on(panel, {0: [1.0]}), panel, config).fills["price"][0] == pytest.approx(11.0)


def test_lots_of_each_board():
    """Main board buys hundreds; STAR buys 200 and then single shares, nothing below 200."""
    panel = small(np.full((2, 3), 10.0))
    panel = Panel(panel.dates, np.array(["SH600001", "SH688001", "SH688002"]), panel.universe, panel.fields)
    config = BacktestSettings.frictionless(capital=10_000, lots=True)
    result = backtest(weights_on(panel, {0: [0.25, 0.255, 0.19]}), panel, config)
    assert dict(zip(result.fills["symbol"], result.fills["filled"], strict=True)) == {
        "SH600001": 200.0,
        "SH688001": 255.0,
    }


def test_board_of_the_listing_table_comes_first():
    """A board named in the listing table sets the lot, whatever the symbol suggests."""
    panel = small(np.full((2, 1), 10.0))
    listing = pl.DataFrame({"symbol": ["SH600000"], "board": ["star"]})
    config = BacktestSettings.frictionless(capital=2_555, lots=True)
    targets = weights_on(panel, {0: [1.0]})
    assert backtest(targets, panel, config, listing=listing).fills["filled"].to_list() == [255.0]
    assert backtest(targets, panel, config).fills["filled"].to_list() == [200.0]


def test_odd_lot_is_sold_whole_only():
    """An odd holding (after a bonus issue) is sold whole on exit, and in hundreds when only reduced."""
    factor = np.array([[1.0], [1.0], [1.25], [1.25], [1.25], [1.25]])
    panel = small(np.full((6, 1), 10.0), adj_factor=factor)
    config = BacktestSettings.frictionless(capital=10_000, lots=True, sizing="close")
    result = backtest(weights_on(panel, {0: [0.5], 2: [0.3], 4: [0.0]}), panel, config)
    # 500 shares become 625; of 11,250 in all 30 % is 337 shares: 288 are to go, and 200 are whole lots.
    assert result.fills["side"].to_list() == ["buy", "sell", "sell"]
    assert result.orders["wanted"].to_list() == [500, 288, 425]
    assert result.fills["filled"].to_list() == [500, 200, 425]
    assert result.orders["unfilled_lot"].to_list() == [0, 88, 0]


def test_participation_caps_the_fill_and_carry_completes_it():
    """At most a tenth of the day's volume trades; the rest is recorded, and tried again only when carried."""
    panel = small(np.full((5, 1), 10.0), volume=np.full((5, 1), 1e6))
    targets = weights_on(panel, {0: [1.0]})
    base = {"capital": 2.5e6, "participation": 0.1}
    once = backtest(targets, panel, BacktestSettings.frictionless(**base))
    assert once.fills["filled"].to_list() == [1e5]
    assert once.unfilled.row(0, named=True)["value"] == pytest.approx(1.5e6)
    assert once.nav["unfilled"][1] == pytest.approx(0.6)
    carried = backtest(targets, panel, BacktestSettings.frictionless(**base, carry_days=2))
    assert carried.fills["filled"].to_list() == pytest.approx([1e5, 1e5, 5e4])
    assert carried.fills["kind"].to_list() == ["target", "carried", "carried"]


def test_commission_has_a_minimum():
    """Five yuan an order at least, unless the settings say otherwise."""
    panel = small(np.full((2, 1), 10.0))
    targets = weights_on(panel, {0: [0.5]})
    config = BacktestSettings(capital=10_000, slippage_bps=0, transfer_fee=0.0)
    assert backtest(targets, panel, config).fills["commission"].to_list() == [5.0]
    free = config.model_copy(update={"commission_min": 0.0})
    assert backtest(targets, panel, free).fills["commission"].to_list() == pytest.approx([1.25])


def test_stamp_duty_and_transfer_fee_follow_their_dates():
    """Sales before 2023-08-28 pay 0.1 %, from then on 0.05 %; the transfer fee halves on 2022-04-29."""
    dates = np.array(["2022-04-25", "2022-04-26", "2022-04-29", "2023-08-25", "2023-08-28"], dtype="datetime64[D]")
    panel = small(np.full((5, 1), 10.0))
    panel = Panel(dates, panel.symbols, panel.universe, panel.fields)
    targets = weights_on(panel, {0: [1.0], 1: [0.5], 2: [0.2], 3: [0.0]})
    config = BacktestSettings.frictionless(stamp_duty=None, transfer_fee=None, sizing="close")
    fills = backtest(targets, panel, config).fills
    assert (fills["duty"] / fills["value"]).to_list() == pytest.approx([0.0, 1e-3, 1e-3, 5e-4], abs=1e-9)
    assert (fills["transfer_fee"] / fills["value"]).to_list() == pytest.approx([2e-5, 1e-5, 1e-5, 1e-5], abs=1e-9)


def test_impact_is_volatility_times_root_of_participation():
    """The price moves by Y sigma sqrt(q / volume), sigma over the 20 rows before the trade."""
    rng = np.random.default_rng(0)
    close = 10 * np.cumprod(1 + rng.normal(0, 0.02, (30, 1)), axis=0)
    panel = small(close, volume=np.full((30, 1), 1e7))
    config = BacktestSettings.frictionless(impact=0.8, sizing="close")
    result = backtest(weights_on(panel, {24: [0.5]}), panel, config)
    fill = result.fills.row(0, named=True)
    prices = panel["close"][:, 0].astype(float)
    sigma = np.std(prices[5:25] / prices[4:24] - 1, ddof=1)
    expected = prices[25] * (1 + 0.8 * sigma * math.sqrt(fill["filled"] / 1e7))
    assert fill["price"] == pytest.approx(expected, rel=1e-6)
    assert fill["impact"] == pytest.approx(fill["filled"] * (expected - prices[25]), rel=1e-4)


@pytest.mark.parametrize("recovery", [0.0, 0.3, 1.0])
def test_delisted_holding_is_closed_at_the_recovery_setting(recovery):
    """On the first day without listing the holding turns into cash at the stated fraction of its last price."""
    listed = np.array([[1.0, 1], [1, 1], [1, 1], [np.nan, 1], [np.nan, 1]])
    close = np.where(np.isnan(listed), np.nan, 10.0)
    panel = small(close, is_listed=listed, volume=np.where(np.isnan(listed), np.nan, 1e9))
    result = backtest(
        weights_on(panel, {0: [0.5, 0.5]}), panel, BacktestSettings.frictionless(delist_recovery=recovery)
    )
    assert result.nav["nav"][-1] == pytest.approx(5e7 + 5e7 * recovery)
    assert result.fills["kind"].to_list()[-1] == "delisted"
    assert result.metrics["delisted"] == 1.0
    assert result.nav["cost"].sum() == 0.0


def test_what_holders_got_counts_before_the_recovery_setting():
    """Where the listing table says what a delisted share was worth, that is paid, and both values are counted."""
    listed = np.array([[1.0], [1], [1], [np.nan]])
    close = np.where(np.isnan(listed), np.nan, 10.0)
    panel = small(close, is_listed=listed, volume=np.where(np.isnan(listed), np.nan, 1e9))
    listing = pl.DataFrame({"symbol": ["SH600000"], "board": ["main"], "delist_value": [12.5]})
    result = backtest(weights_on(panel, {0: [1.0]}), panel, BacktestSettings.frictionless(), listing=listing)
    assert result.nav["nav"][-1] == pytest.approx(1.25e8)
    assert (result.metrics["delisted_value"], result.metrics["delisted_recovered"]) == pytest.approx((1e8, 1.25e8))


def test_an_order_carried_into_a_delisting_is_unfilled_for_it():
    """What is still wanted when bars end is unfilled because the stock is delisted."""
    listed = np.array([[1.0], [1], [np.nan], [np.nan]])
    close = np.where(np.isnan(listed), np.nan, 10.0)
    volume = np.where(np.isnan(listed), np.nan, 1e6)
    panel = small(close, is_listed=listed, volume=volume)
    config = BacktestSettings.frictionless(capital=4e6, participation=0.1, carry_days=1, delist_recovery=1.0)
    result = backtest(weights_on(panel, {0: [1.0]}), panel, config)
    assert result.orders["kind"].to_list() == ["target", "delisted", "carried"]
    assert result.orders["reason"].to_list() == ["participation", "", "delisted"]
    assert result.orders["filled"].to_list() == pytest.approx([1e5, 1e5, 0.0])
    assert result.metrics["unfilled_delisted"] == 1.0


def test_a_bar_beyond_its_limits_had_none():
    """A first day after a relisting, which no column tells, trades freely; such fills are counted."""
    bar = {"open": 30.0, "high": 33.0, "low": 29.0, "vwap": 31.0}
    fields = {name: np.array([[10.0], [value]]) for name, value in bar.items()}
    panel = small([[10.0], [32.0]], limit_up=[[11.0], [11.0]], limit_down=[[9.0], [9.0]], **fields)
    config = BacktestSettings.frictionless(price_limits=True, slippage_bps=10)
    result = backtest(weights_on(panel, {0: [1.0]}), panel, config)
    assert result.fills["price"].to_list() == pytest.approx([31.0 * 1.001], rel=1e-6)
    assert result.metrics["fills_beyond_limits"] == 1.0


def test_missing_vwap_is_a_stated_and_counted_choice():
    """Without a VWAP a stock fills at the typical price and is counted, or does not fill and is recorded."""
    vwap = np.array([[10.0], [np.nan]])
    panel = small([[10.0], [12.0]], vwap=vwap, high=[[10.0], [13.0]], low=[[10.0], [11.0]])
    targets = weights_on(panel, {0: [1.0]})
    typical = backtest(targets, panel, PLAIN)
    assert typical.fills["price"].to_list() == [12.0]
    assert typical.metrics["vwap_fallback_fills"] == 1.0
    assert "high + low + close" in typical.conventions["vwap_fallback"]
    none = backtest(targets, panel, BacktestSettings.frictionless(vwap_fallback="none"))
    assert none.fills.height == 0
    assert none.unfilled["reason"].to_list() == ["no_price"]


def test_cash_earns_its_rate():
    """Cash accrues the simple annual rate by trading day."""
    panel = small(np.full((4, 1), 10.0))
    config = BacktestSettings.frictionless(cash_rate_annual=0.0242, annual_days=242)
    result = backtest(weights_on(panel, {0: [0.0]}), panel, config)
    assert result.nav["nav"][-1] == pytest.approx(1e8 * 1.0001**3)


def test_benchmark_returns_stand_on_the_same_dates():
    """The benchmark's return of a row is that of the same trading day; the base row's is 0."""
    panel = small(np.full((5, 1), 10.0))
    closes = np.array([np.nan, 100.0, 110.0, 99.0, 99.0])
    result = backtest(weights_on(panel, {1: [0.5]}), panel, PLAIN, benchmark=closes)
    assert result.nav["benchmark_ret"].to_list() == pytest.approx([0.0, 0.1, -0.1, 0.0])
    assert result.nav["excess_ret"].to_list() == pytest.approx([0.0, -0.1, 0.1, 0.0])


def test_wrong_input_is_refused_in_words():
    """Each mistake names what is wrong, where, and what to do."""
    panel = small(np.full((5, 2), 10.0))
    with pytest.raises(DataError, match="no decision to trade"):
        backtest(weights_on(panel, {}), panel, PLAIN)
    with pytest.raises(DataError, match=r"negative or infinite, first -0\.1 for SH600001 on 2024-01-03"):
        backtest(weights_on(panel, {1: [0.5, -0.1]}), panel, PLAIN)
    with pytest.raises(DataError, match=r"Set short_selling for short positions"):
        backtest(weights_on(panel, {1: [0.5, -0.1]}), panel, PLAIN)
    with pytest.raises(DataError, match=r"2024-01-03 sum to 1\.200000"):
        backtest(weights_on(panel, {1: [0.6, 0.6]}), panel, PLAIN)
    with pytest.raises(DataError, match=r"no close on 1 dates from 2024-01-03 on, first 2024-01-05"):
        backtest(weights_on(panel, {1: [0.5, 0.5]}), panel, PLAIN, benchmark=np.array([1, 1, 1, np.nan, 1.0]))
    with pytest.raises(AlignmentError, match="benchmark has shape"):
        backtest(weights_on(panel, {1: [0.5, 0.5]}), panel, PLAIN, benchmark=np.ones(3))
    with pytest.raises(AlignmentError, match="Panels have"):
        backtest(weights_on(panel, {1: [0.5, 0.5]}).rows(0, 4), panel, PLAIN)
    with pytest.raises(MissingFieldError, match="no field 'limit_up'"):
        backtest(
            weights_on(panel, {1: [0.5, 0.5]}),
            panel.select([name for name in panel.names if name != "limit_up"]),
            BacktestSettings(),
        )
    with pytest.raises(SettingError, match=r"commission is 0\.01; market 'china' allows at most 0\.003 on 2024-01-02"):
        backtest(weights_on(panel, {1: [0.5, 0.5]}), panel, BacktestSettings(commission=0.01))
    with pytest.raises(SettingError, match="Did you mean 'slippage_bps'"):
        BacktestSettings.parse({"slipage_bps": 3})


def test_stock_without_a_close_cannot_be_a_target():
    """A weight on a stock that is not listed at the decision is an error, not a silent zero."""
    close = np.array([[10.0, np.nan], [10.0, np.nan], [10.0, 10.0]])
    panel = small(close, is_listed=np.array([[1, np.nan], [1, np.nan], [1, 1.0]]))
    with pytest.raises(DataError, match="stock without a close that day, first SH600001 on 2024-01-03"):
        backtest(weights_on(panel, {1: [0.5, 0.5]}), panel, PLAIN)


def test_required_fields_are_enough():
    """The listed fields alone carry a replay, whatever the settings."""
    panel = random_panel(30, 6, seed=1)
    for config in (
        BacktestSettings(),
        BacktestSettings(price="open", price_limits=False),
        BacktestSettings(price="close", corporate_actions="none"),
        BacktestSettings(vwap_fallback="none", price_limits=False),
    ):
        part = panel.select(required_fields(config))
        a, b = backtest(random_targets(panel), part, config), backtest(random_targets(panel), panel, config)
        assert a.nav.equals(b.nav)
        assert a.fills.equals(b.fills)


def test_result_tables_keep_their_schema_without_fills():
    """An all-cash replay has empty fills of the promised columns, and NaN where a figure is undefined."""
    panel = small(np.full((4, 1), 10.0))
    result = backtest(weights_on(panel, {0: [0.0]}), panel, PLAIN)
    assert result.fills.height == 0
    assert result.fills.columns[:6] == ["decision", "date", "attempt", "symbol", "side", "kind"]
    assert result.unfilled.height == 0
    assert result.nav["nav"].to_list() == [1e8] * 4
    assert math.isnan(result.metrics["sharpe"])

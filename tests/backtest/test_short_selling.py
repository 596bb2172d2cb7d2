"""Short positions: only where settings and market allow them, within the gross limit, at the cost of a loan."""

import numpy as np
import pytest
from replays import small, weights_on

from alphaloom.backtest.run import backtest
from alphaloom.backtest.settings import BacktestSettings
from alphaloom.errors import DataError

SHORT = BacktestSettings.frictionless(short_selling=True, borrow_rate_annual=0.0, sizing="close", price="close")


def test_the_market_must_allow_it_on_the_day():
    """Before the pilot of margin trading nothing is sold short; what is held can be sold."""
    targets = {0: [0.5, 0.5], 2: [-0.5, 0.5]}
    early = small(np.full((5, 2), 10.0), start="2010-03-22")
    result = backtest(weights_on(early, targets), early, SHORT)
    sale = result.orders.filter(result.orders["side"] == "sell").row(0, named=True)
    assert (sale["filled"], sale["unfilled_short"]) == pytest.approx((sale["wanted"] / 2, sale["wanted"] / 2))
    assert result.nav["short_weight"].max() == 0
    late = small(np.full((5, 2), 10.0), start="2010-04-01")
    assert backtest(weights_on(late, targets), late, SHORT).nav["short_weight"].max() == pytest.approx(0.5)


def test_gross_and_net_are_limited():
    """The sum of absolute weights and the net sum have their own limits."""
    panel = small(np.full((4, 3), 10.0))
    with pytest.raises(
        DataError, match=r"Absolute target weights of 2024-01-02 sum to 2\.200000; gross_limit allows 2"
    ):
        backtest(weights_on(panel, {0: [0.8, 0.8, -0.6]}), panel, SHORT)
    with pytest.raises(DataError, match=r"sum to 1\.100000; at most 1"):
        backtest(weights_on(panel, {0: [0.8, 0.8, -0.5]}), panel, SHORT)


def test_a_position_turns_from_long_to_short_and_back_in_one_order_each():
    """Selling 1,000 held shares and 500 borrowed ones is one sale; buying 1,500 back is one purchase."""
    panel = small(np.full((8, 1), 10.0))
    config = SHORT.model_copy(update={"lots": True, "capital": 10_000.0})
    result = backtest(weights_on(panel, {0: [1.0], 2: [-0.5], 4: [1.0]}), panel, config)
    assert result.orders["side"].to_list() == ["buy", "sell", "buy"]
    assert result.orders["filled"].to_list() == [1000, 1500, 1500]
    assert result.nav["nav"].to_list() == pytest.approx([10_000] * 8)


def test_a_dividend_is_owed_on_borrowed_shares():
    """Whoever sold borrowed shares pays the dividend, without tax."""
    factor = np.array([[1.0], [1.0], [1.05], [1.05]])
    close = np.array([[10.0], [10.0], [10 / 1.05], [10 / 1.05]])
    panel = small(close, adj_factor=factor)
    config = SHORT.model_copy(update={"dividends": "cash", "dividend_tax": 0.1})
    result = backtest(weights_on(panel, {0: [-0.5]}), panel, config)
    assert result.nav["dividends"][2] == pytest.approx(-0.5 * (1 - 1 / 1.05), rel=1e-5)
    assert result.nav["dividend_tax"].max() == 0
    assert result.nav["nav"][-1] == pytest.approx(1e8)


def test_a_delisted_short_position_is_bought_back_at_what_was_recovered():
    """Shares worth nothing are returned for nothing: the proceeds of the sale are the gain."""
    listed = np.array([[1.0], [1], [1], [np.nan]])
    close = np.where(np.isnan(listed), np.nan, 10.0)
    panel = small(close, is_listed=listed, volume=np.where(np.isnan(listed), np.nan, 1e9))
    config = SHORT.model_copy(update={"delist_recovery": 0.0})
    result = backtest(weights_on(panel, {0: [-0.5]}), panel, config)
    assert result.nav["nav"][-1] == pytest.approx(1.5e8)
    assert result.orders["side"].to_list() == ["sell", "buy"]


def test_proceeds_earn_no_interest_and_the_loan_is_paid_every_day():
    """Interest accrues on the cash beyond the proceeds; borrowed shares cost their rate."""
    panel = small(np.full((4, 1), 10.0))
    config = SHORT.model_copy(update={"cash_rate_annual": 0.0243, "borrow_rate_annual": 0.0486})
    result = backtest(weights_on(panel, {0: [-0.5]}), panel, config)
    assert result.nav["interest"].to_list() == pytest.approx([0, 1e-4, 1e-4, 1e-4], rel=1e-3)
    assert result.nav["borrow"].to_list() == pytest.approx([0, 0, 1e-4, 1e-4], rel=1e-3)
    assert result.metrics["borrow_annual"] == pytest.approx(243 * 2e-4 / 3, rel=1e-3)

"""Intervals of a portfolio's headline numbers."""

import numpy as np
import polars as pl
from studies import make_portfolio

from alphaloom.report.intervals import portfolio_intervals


def test_values_are_the_backtests_own():
    """Each interval holds the number that the backtest shows, and lies around it."""
    result = make_portfolio(3, days=700)
    found = portfolio_intervals(result.nav, 243)
    assert list(found) == ["annual_return", "sharpe", "information_ratio", "max_drawdown"]
    for name, item in found.items():
        np.testing.assert_allclose(item.value, result.metrics[name], rtol=1e-9)
        assert item.low < item.high
        assert item.n == 699
    assert found["sharpe"].low < found["sharpe"].value < found["sharpe"].high
    assert found["max_drawdown"].high < 0


def test_what_cannot_be_said_is_left_out():
    """No benchmark, no information ratio; too few days, nothing at all."""
    nav = make_portfolio(3, days=300).nav.with_columns(pl.lit(None, dtype=pl.Float64).alias("excess_ret"))
    assert "information_ratio" not in portfolio_intervals(nav, 243)
    assert portfolio_intervals(nav.head(40), 243) == {}

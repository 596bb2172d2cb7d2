"""Performance figures against empyrical-reloaded."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphaloom.backtest.measures import annual_return, max_drawdown, sharpe, total_return, volatility

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of libraries that it looks for and does without
    import empyrical

DAYS = 243


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 400), st.floats(0.001, 0.05), st.floats(-0.01, 0.01), st.integers(0, 999))
def test_figures_agree(n, risk, drift, seed):
    """Total and annual return, volatility, Sharpe ratio and drawdown of random returns."""
    r = np.maximum(np.random.default_rng(seed).normal(drift, risk, n), -0.9)
    np.testing.assert_allclose(total_return(r), empyrical.cum_returns_final(r), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(annual_return(r, DAYS), empyrical.annual_return(r, annualization=DAYS), rtol=1e-9)
    np.testing.assert_allclose(volatility(r, DAYS), empyrical.annual_volatility(r, annualization=DAYS), rtol=1e-12)
    np.testing.assert_allclose(sharpe(r, DAYS), empyrical.sharpe_ratio(r, annualization=DAYS), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(max_drawdown(r), empyrical.max_drawdown(r), atol=1e-12)


@pytest.mark.parametrize("returns", [[0.0] * 5, [-0.1, 0.0, 0.0], [0.5, 0.4, 0.1], [0.02]])
def test_awkward_series(returns):
    """No movement, a fall on the first day, only gains, a single day."""
    r = np.array(returns)
    np.testing.assert_allclose(max_drawdown(r), empyrical.max_drawdown(r), atol=1e-15)
    np.testing.assert_allclose(total_return(r), empyrical.cum_returns_final(r))
    np.testing.assert_allclose(annual_return(r, DAYS), empyrical.annual_return(r, annualization=DAYS))


def test_the_information_ratio_is_annual_here():
    """Empyrical's excess Sharpe ratio is per day; ours is times the root of the days a year."""
    rng = np.random.default_rng(1)
    r, b = 0.01 * rng.normal(size=(2, 300))
    np.testing.assert_allclose(sharpe(r - b, DAYS), empyrical.excess_sharpe(r, b) * np.sqrt(DAYS))


def test_missing_days_are_not_skipped():
    """Empyrical leaves NaN out; a hole in a daily series of wealth is a mistake here and gives no figure."""
    r = np.array([0.01, np.nan, 0.02])
    assert np.isfinite(empyrical.max_drawdown(r))
    assert np.isnan(max_drawdown(r))
    assert np.isnan(total_return(r))

"""Moving weighted moments against plain loops over each window."""

import numpy as np
import pytest
import statsmodels.api as sm
from panels import random_panel

from alphaloom.risk.decay import (
    cumulative_range,
    daily_returns,
    decayed_moments,
    decayed_regression,
    market_return,
    window_sum,
)


@pytest.fixture
def returns():
    """Random returns with gaps."""
    rng = np.random.default_rng(0)
    x = rng.normal(0.001, 0.02, (90, 4)).astype(np.float32)
    x[rng.random(x.shape) < 0.15] = np.nan
    x[:40, 3] = np.nan
    return x


def window_of(x, t, window, half_life):
    """Values and weights of a window that ends at row t, without NaN."""
    rows = np.arange(max(0, t - window + 1), t + 1)
    weight = 0.5 ** ((t - rows) / half_life)
    known = ~np.isnan(x[rows])
    return x[rows][known].astype(float), weight[known]


def test_moments_equal_the_definition(returns):
    """Weighted mean and standard deviation of each window, NaN below the least number of observations."""
    mean, deviation = decayed_moments(returns, 30, 10.0, 12)
    for t in range(90):
        for n in range(4):
            v, w = window_of(returns[:, n], t, 30, 10.0)
            if v.size < 12:
                assert np.isnan(mean[t, n])
                assert np.isnan(deviation[t, n])
                continue
            m = np.average(v, weights=w)
            assert mean[t, n] == pytest.approx(m, rel=1e-4, abs=1e-7)
            assert deviation[t, n] == pytest.approx(np.sqrt(np.average((v - m) ** 2, weights=w)), rel=1e-4)


def test_regression_equals_weighted_least_squares(returns):
    """Slope and weighted residual deviation are those of statsmodels' WLS on the window's common days."""
    rng = np.random.default_rng(1)
    market = rng.normal(0, 0.01, 90)
    market[17] = np.nan
    y = (1.3 * np.nan_to_num(market)[:, None] + returns).astype(np.float32)
    slope, rest = decayed_regression(y, market, 40, 15.0, 20)
    for t in (39, 60, 89):
        for n in range(3):
            rows = np.arange(t - 39, t + 1)
            w = 0.5 ** ((t - rows) / 15.0)
            known = ~np.isnan(y[rows, n]) & ~np.isnan(market[rows])
            fit = sm.WLS(y[rows, n][known], sm.add_constant(market[rows][known]), weights=w[known]).fit()
            assert slope[t, n] == pytest.approx(fit.params[1], rel=1e-4)
            expected = np.sqrt(np.average(fit.resid**2, weights=w[known]))
            assert rest[t, n] == pytest.approx(expected, rel=1e-4)
    assert np.isnan(slope[18, 0])


def test_window_sum_equals_the_definition(returns):
    """Sums of known values over the window, NaN below the least count."""
    x = np.abs(returns)
    got = window_sum(x, 21, 11)
    for t in range(90):
        for n in range(4):
            part = x[max(0, t - 20) : t + 1, n]
            if (~np.isnan(part)).sum() < 11:
                assert np.isnan(got[t, n])
            else:
                assert got[t, n] == pytest.approx(np.nansum(part), rel=1e-6)


def test_cumulative_range_equals_the_definition():
    """Largest less smallest log return over 1 to k periods, from the last known price."""
    price = np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.02, (60, 2)), axis=0)).astype(np.float32)
    price[30, 0] = np.nan
    got = cumulative_range(price, 5, 4)
    filled = price.astype(float).copy()
    filled[30, 0] = filled[29, 0]
    for t in range(60):
        z = [np.log(filled[t] / filled[t - 5 * k]) for k in range(1, 5)] if t >= 20 else None
        for n in range(2):
            if z is None or np.isnan(price[t, n]):
                assert np.isnan(got[t, n])
            else:
                v = [x[n] for x in z]
                assert got[t, n] == pytest.approx(max(v) - min(v), rel=1e-4)


def test_returns_span_days_without_trading():
    """The first day after a suspension holds the whole return since the last trade; days without one are NaN."""
    panel = random_panel(30, 3, seed=0, gaps=False)
    close = panel["adj_close"].copy()
    close[10:13, 1] = np.nan
    got = daily_returns(panel.with_fields({"adj_close": close}))
    assert np.isnan(got[0]).all()
    assert np.isnan(got[10:13, 1]).all()
    assert got[13, 1] == pytest.approx(close[13, 1] / close[9, 1] - 1, rel=1e-5)


def test_market_return_uses_the_day_before():
    """Members and weights are those of the day before, so the day's own winners do not weigh more."""
    returns = np.array([[np.nan] * 3, [0.1, -0.1, 0.5], [np.nan, 0.2, 0.0]], np.float32)
    universe = np.array([[True, True, False], [True, True, True], [True, True, True]])
    cap = np.array([[1, 3, 9], [2, 2, 2], [7, 7, 7]], np.float32)
    assert market_return(returns, universe, cap)[1:] == pytest.approx([(0.1 - 0.3) / 4, 0.1])
    assert market_return(returns, universe, None)[1:] == pytest.approx([0.0, 0.1])

"""The residual return: orthogonal to exposures, by one regression or day by day, and what it reads."""

import numpy as np
import pytest
import statsmodels.api as sm
from panels import random_panel

from alphaloom.errors import SettingError
from alphaloom.labels.base import labels
from alphaloom.risk.exposures import style_exposures


@pytest.fixture(scope="module")
def market():
    """A market with gaps, long enough for beta."""
    return random_panel(200, 40, seed=4)


STYLES = ["size", "beta"]


def label(**settings):
    """The label with two styles."""
    return labels.parse({"name": "residual_return", "styles": STYLES, "horizon": 5, **settings})


def design(market, item, t):
    """Columns of industries and styles of one date."""
    exposures = style_exposures(market, item.styles)
    styles = np.column_stack([exposures[name][t].astype(float) for name in STYLES])
    return np.column_stack([np.eye(4)[np.nan_to_num(market["industry"][t]).astype(int)], styles])


def test_span_is_the_residual_of_the_forward_return(market):
    """It is statsmodels' WLS of the return over the span on the exposures of t, root-cap weights, members alone."""
    item = label()
    got = item.compute(market)
    close = market["adj_close"].astype(float)
    for t in (150, 180):
        y = close[t + 6] / close[t + 1] - 1
        X, w = design(market, item, t), np.sqrt(np.exp(market["log_cap"][t].astype(float)))
        known = np.isfinite(y) & (market["is_listed"][t] == 1)
        use = known & market.universe[t]
        fit = sm.WLS(y[use], X[use], weights=w[use]).fit()
        np.testing.assert_allclose(got[t, known], (y - X @ fit.params)[known], rtol=1e-3, atol=1e-6)
        assert np.isnan(got[t, ~known]).all()


def test_daily_is_the_sum_of_daily_residuals(market):
    """Each day's return on the exposures of the close before; those who did not trade have no part in the fit."""
    item = label(method="daily", horizon=3)
    got = item.compute(market)
    close = market["adj_close"].astype(float)
    t = 150
    known = np.isfinite(close[t + 4] / close[t + 1]) & (market["is_listed"][t] == 1)
    steady = known & np.isfinite(close[t + 1 : t + 5]).all(axis=0)
    total = np.zeros(40)
    for day in range(t + 2, t + 5):
        y, before = close[day] / close[day - 1] - 1, day - 1
        X, w = design(market, item, before), np.sqrt(np.exp(market["log_cap"][before].astype(float)))
        use = np.isfinite(y) & market.universe[before]
        fit = sm.WLS(y[use], X[use], weights=w[use]).fit()
        total += y - X @ fit.params
    assert steady.sum() > 20
    np.testing.assert_allclose(got[t, steady], total[steady], rtol=1e-3, atol=1e-6)


def test_both_methods_tell_much_the_same(market):
    """Over a few days the two correlate closely."""
    span, daily = label().compute(market)[150:190], label(method="daily").compute(market)[150:190]
    both = np.isfinite(span) & np.isfinite(daily)
    assert np.corrcoef(span[both], daily[both])[0, 1] > 0.9


@pytest.mark.parametrize("method", ["span", "daily"])
@pytest.mark.parametrize("price", ["close", "open", "vwap"])
def test_it_reads_its_span_and_no_more(market, method, price):
    """Rows after the end do not matter, the look-back suffices, and the row of the end matters."""
    item = label(method=method, price=price)
    assert item.lookback >= 252
    whole = item.compute(market)
    t = 170
    end = int(item.ends(market.dates)[t])
    assert end == t + 6
    cut = item.compute(market.rows(0, end + 1))
    np.testing.assert_array_equal(cut[t], whole[t])
    assert np.isnan(item.compute(market.rows(0, end))[t]).all()


def test_prices_at_the_open_follow_exposures_known_before_them(market):
    """A return that begins at the open of a day takes exposures of the close before that day."""
    item = label(method="daily", price="open", horizon=1)
    got = item.compute(market)
    t = 150
    y = market["adj_open"][t + 2].astype(float) / market["adj_open"][t + 1] - 1
    X, w = design(market, item, t), np.sqrt(np.exp(market["log_cap"][t].astype(float)))
    use = np.isfinite(y) & market.universe[t]
    fit = sm.WLS(y[use], X[use], weights=w[use]).fit()
    np.testing.assert_allclose(got[t, use], (y - X @ fit.params)[use], rtol=1e-3, atol=1e-6)


def test_without_industries_or_without_styles(market):
    """Either alone; neither is refused."""
    alone = label(industries=False)
    assert "industry" not in alone.required
    assert np.isfinite(alone.compute(market)[150]).any()
    assert np.isfinite(label(styles=[]).compute(market)[150]).any()
    with pytest.raises(SettingError, match="needs `industries: true`, at least one of `styles`"):
        label(styles=[], industries=False)

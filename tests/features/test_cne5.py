"""CNE5 descriptors against their definitions, computed in plain numpy and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from panels import random_panel

from alphaloom.features.base import features
from alphaloom.features.cne5 import DESCRIPTORS, GAP, RETURN, trend
from alphaloom.features.cne5 import market_return as market_text
from alphaloom.features.compute import compute_features
from alphaloom.language.plan import Plan

ALL = list(DESCRIPTORS)


@pytest.fixture(scope="module")
def market():
    """Four years with gaps."""
    return random_panel(1000, 12, seed=2)


@pytest.fixture(scope="module")
def made(market):
    """The descriptors of all ten styles."""
    return compute_features([features.parse({"name": "cne5", "styles": ALL})], market)


def returns_since_last_trade(market):
    """Daily returns `[T, N]` from the last known price, missing on days without trading."""
    close = market["adj_close"].astype(float)
    out = np.full(close.shape, np.nan)
    for n in range(close.shape[1]):
        rows = np.flatnonzero(np.isfinite(close[:, n]))
        out[rows[1:], n] = close[rows[1:], n] / close[rows[:-1], n] - 1
    return out


def market_return(market):
    """Mean of the members' returns from the row before, weighted by the capitalisation of the day before `[T]`."""
    close = market["adj_close"].astype(float)
    cap = np.exp(market["log_cap"].astype(float))
    out = np.full(close.shape[0], np.nan)
    for t in range(1, out.size):
        day = close[t] / close[t - 1] - 1
        use = market.universe[t] & np.isfinite(day) & np.isfinite(cap[t - 1])
        out[t] = np.average(day[use], weights=cap[t - 1][use])
    return out


def test_default_styles_need_bars_alone():
    """Six styles, from prices, capitalisation and turnover."""
    family = features.parse("cne5")
    assert family.columns() == ["lncap", "beta", "rstr", "dastd", "cmra", "hsigma", "nlsize", "stom", "stoq", "stoa"]
    assert set(family.required) == {"adj_close", "is_listed", "log_cap", "turnover"}


def test_returns_span_days_without_trading():
    """The first day after a suspension holds the return since the last trade; after too long a one there is none."""
    market = random_panel(200, 3, seed=0, gaps=False)
    close = market["adj_close"].copy()
    close[10:13, 1] = np.nan
    close[20 : 20 + GAP - 1, 2] = np.nan
    got = Plan.of({"r": RETURN}).compute(market.with_fields({"adj_close": close}))[:, :, 0]
    assert np.isnan(got[0]).all()
    assert np.isnan(got[10:13, 1]).all()
    assert got[13, 1] == pytest.approx(close[13, 1] / close[9, 1] - 1, rel=1e-5)
    assert got[20 + GAP - 1, 2] == pytest.approx(close[20 + GAP - 1, 2] / close[19, 2] - 1, rel=1e-4)
    close[20 + GAP - 1, 2] = np.nan
    longer = Plan.of({"r": RETURN}).compute(market.with_fields({"adj_close": close}))[:, :, 0]
    assert np.isnan(longer[20 : 20 + GAP + 1, 2]).all()


def test_the_market_weighs_by_the_day_before(market):
    """Members that traded on both days, by the capitalisation of the day before, or equally."""
    made = Plan.of({"cap": market_text("cap"), "equal": market_text("equal")}).compute(market)
    by_cap = market_return(market)
    close = market["adj_close"].astype(float)
    for t in (5, 100, 659):
        n = int(np.flatnonzero(market["is_listed"][t] == 1)[0])
        assert made[t, n, 0] == pytest.approx(by_cap[t], rel=1e-4, abs=1e-8)
        day = close[t] / close[t - 1] - 1
        assert made[t, n, 1] == pytest.approx(np.nanmean(day[market.universe[t]]), rel=1e-4, abs=1e-8)


def test_beta_and_hsigma_are_weighted_least_squares(market, made):
    """Slope and weighted residual deviation of statsmodels' WLS over the common days, half-life 63."""
    returns, mean = returns_since_last_trade(market), market_return(market)
    for t in (400, 659):
        for n in (1, 2, 5):
            rows = np.arange(t - 251, t + 1)
            w = 0.5 ** ((t - rows) / 63.0)
            known = np.isfinite(returns[rows, n]) & np.isfinite(mean[rows])
            fit = sm.WLS(returns[rows, n][known], sm.add_constant(mean[rows][known]), weights=w[known]).fit()
            assert made["beta"][t, n] == pytest.approx(fit.params[1], rel=1e-3)
            rest = np.sqrt(np.average(fit.resid**2, weights=w[known]))
            assert made["hsigma"][t, n] == pytest.approx(rest, rel=1e-3)


def test_rstr_and_dastd_are_weighted_moments(market, made):
    """Mean of log returns up to 21 rows ago with half-life 126, and deviation of returns with half-life 42.

    In the mean a listed day without a return counts as 0; in the deviation it does not count.
    """
    returns = returns_since_last_trade(market)
    still = (market["is_listed"] == 1) & ~np.isfinite(returns)
    assert still.any()
    for n in (1, 4, 6):
        t = 640
        rows = np.arange(t - 21 - 503, t - 21 + 1)
        logs, w = np.where(still, 0.0, np.log1p(returns))[rows, n], 0.5 ** ((t - 21 - rows) / 126.0)
        use = np.isfinite(logs)
        assert made["rstr"][t, n] == pytest.approx(np.average(logs[use], weights=w[use]), rel=2e-3, abs=1e-7)
        rows = np.arange(t - 251, t + 1)
        day, w = returns[rows, n], 0.5 ** ((t - rows) / 42.0)
        use = np.isfinite(day)
        centre = np.average(day[use], weights=w[use])
        deviation = np.sqrt(np.average((day[use] - centre) ** 2, weights=w[use]))
        assert made["dastd"][t, n] == pytest.approx(deviation, rel=1e-4)


def test_least_counts():
    """RSTR needs 231 listed days before its lag, DASTD 126 returns."""
    market = random_panel(700, 3, seed=2, gaps=False)
    made = compute_features([features.parse({"name": "cne5", "styles": ["momentum", "residual_volatility"]})], market)
    first = {name: int(np.isfinite(made[name][:, 1]).argmax()) for name in ("rstr", "dastd")}
    assert first == {"rstr": 21 + 230, "dastd": 126}


def test_cmra_is_the_range_of_cumulative_returns(market, made):
    """Largest less smallest log return over the last 1 to 12 months of 21 rows."""
    close = market["adj_close"].astype(float)
    for n in range(close.shape[1]):
        rows = [[row for row in range(max(0, s - GAP + 1), s + 1) if np.isfinite(close[row, n])] for s in range(660)]
        last = np.array([close[r[-1], n] if r else np.nan for r in rows])
        for t in (300, 659):
            z = np.log(close[t, n] / last[[t - 21 * k for k in range(1, 13)]])
            if np.isfinite(z).all():
                assert made["cmra"][t, n] == pytest.approx(z.max() - z.min(), rel=1e-4)


def test_liquidity_is_the_log_of_mean_monthly_turnover(market, made):
    """STOM, STOQ and STOA over 1, 3 and 12 months of 21 rows."""
    turnover = market["turnover"].astype(float)
    n = int(np.flatnonzero(np.isfinite(turnover).all(axis=0))[0])
    for name, months in (("stom", 1), ("stoq", 3), ("stoa", 12)):
        expected = np.log(turnover[500 - 21 * months + 1 : 501, n].sum() / months)
        assert made[name][500, n] == pytest.approx(expected, rel=1e-5)


def test_nonlinear_size_is_free_of_size(market, made):
    """What is left of the cube is orthogonal to size over the members."""
    for t in (100, 500):
        use = market.universe[t] & np.isfinite(made["nlsize"][t])
        size, rest = market["log_cap"][t, use].astype(float), made["nlsize"][t, use].astype(float)
        assert rest.mean() == pytest.approx(0, abs=1e-4)
        assert (rest * (size - size.mean())).mean() == pytest.approx(0, abs=1e-4)


def test_descriptors_of_announced_figures(market, made):
    """Value and leverage from the figures as announced."""
    f = {name: market[name].astype(float) for name in market.names}
    cap, debt, book = f["total_cap"], f["fund:debt"], f["fund:book"]
    t = 600
    for name, expected in {
        "btop": book / cap,
        "etop": f["fund:earnings_ttm"] / cap,
        "cetop": f["fund:cash_flow_ttm"] / cap,
        "mlev": (cap + debt) / cap,
        "dtoa": debt / f["fund:total_assets"],
        "blev": (book + debt) / book,
    }.items():
        np.testing.assert_allclose(made[name][t], expected[t], rtol=1e-5)


def test_growth_is_the_slope_of_the_years_there_are(market, made):
    """SGRO and EGRO: numpy's line through the figures of up to five years over their mean size."""
    t = 659
    for name, item in (("sgro", "fund:sales_ttm"), ("egro", "fund:earnings_ttm")):
        figures = market[item][[t - 243 * k for k in range(5) if t >= 243 * k]].astype(float)
        for n in range(figures.shape[1]):
            known = np.isfinite(figures[:, n])
            if known.sum() < 2:
                assert np.isnan(made[name][t, n])
                continue
            slope = np.polyfit(-np.flatnonzero(known), figures[known, n], 1)[0]
            expected = slope / np.abs(figures[known, n]).mean()
            assert made[name][t, n] == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_growth_of_two_years_is_the_change_of_the_last(market):
    """`years=2` compares with the figure 243 rows ago."""
    v = market["fund:sales_ttm"].astype(float)
    got = Plan.of({"g": trend('fund("sales_ttm")', 2)}).compute(market)[500, :, 0]
    change = (v[500] - v[257]) / ((np.abs(v[500]) + np.abs(v[257])) / 2)
    np.testing.assert_allclose(got, np.where(market["is_listed"][500] == 1, change, np.nan), rtol=1e-4, atol=1e-6)

"""Specific risk against loops over single stocks: own history, tails, structural model, shrinkage, regime."""

import numpy as np
import pytest
import statsmodels.api as sm

from alphaloom.risk.regression import Cells
from alphaloom.risk.specific import SpecificSettings, covered, specific_risk

BARE = {"structural": False, "shrinkage": 0, "regime_half_life": None}


def history(T=260, N=30, seed=0):
    """Specific returns of stocks with different volatilities, some listed late, with gaps and fat tails."""
    rng = np.random.default_rng(seed)
    sigma = np.exp(rng.normal(np.log(0.02), 0.4, N))
    u = rng.standard_t(5, (T, N)) * sigma * np.sqrt(3 / 5)
    u[rng.random((T, N)) < 0.02] = np.nan
    u[:150, :4] = np.nan
    styles = np.repeat(rng.normal(size=(1, N, 2)), T, axis=0).astype(np.float32)
    industry = np.repeat(np.arange(N)[None] % 3, T, axis=0)
    cap = np.exp(rng.normal(0, 1, (T, N)))
    return u.astype(np.float32), Cells(styles, industry, cap, np.ones((T, N), bool))


def own_volatility(u, t, half_life, lags, correlation_half_life):
    """EWMA of squares times the Newey-West ratio, one stock, by loops."""
    total = weight = 0.0
    g, h = np.zeros(lags + 1), np.zeros(lags + 1)
    for s in range(t + 1):
        if not np.isfinite(u[s]):
            continue
        w, v = 0.5 ** ((t - s) / half_life), 0.5 ** ((t - s) / correlation_half_life)
        total, weight = total + w * float(u[s]) ** 2, weight + w
        for lag in range(min(lags, s) + 1):
            if np.isfinite(u[s - lag]):
                g[lag] += v * float(u[s]) * float(u[s - lag])
                h[lag] += v
    g = g / h
    ratio = 1 + 2 * sum((1 - lag / (lags + 1)) * g[lag] / g[0] for lag in range(1, lags + 1))
    return np.sqrt(total / weight * max(ratio, 0.25))


@pytest.mark.parametrize("lags", [0, 3])
def test_own_history_is_ewma_times_newey_west(lags):
    """Squares of one half-life, autocorrelations of another; gaps leave both to decay."""
    u, cells = history()
    settings = SpecificSettings(volatility_half_life=40, lags=lags, autocorrelation_half_life=90, **BARE)
    found = specific_risk(u, cells, 3, settings)
    for t in (100, 259):
        for n in (5, 11, 29):
            expected = own_volatility(u[:, n], t, 40, lags, 90)
            assert found.volatility[t, n] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(found.volatility[149, :4]).all()


def belief(u, window, few, enough):
    """Gamma of one history by its formula."""
    known = u[-window:][np.isfinite(u[-window:])].astype(float)
    length = np.clip((known.size - few) / (enough - few), 0, 1)
    if length == 0:
        return 0.0
    q = np.percentile(known, [25, 75])
    robust = (q[1] - q[0]) / 1.3489795003921634
    tails = abs(np.sqrt(np.mean(np.clip(known, -10 * robust, 10 * robust) ** 2)) / robust - 1)
    return length * min(np.exp(1 - tails), 1.0)


def test_belief_in_own_history_by_length_and_tails():
    """Belief is length x tails, looked at every few rows."""
    u, cells = history()
    u[200:, 7] *= 60
    settings = SpecificSettings(window=120, few=30, enough=90, look_every=10)
    found = specific_risk(u, cells, 3, settings)
    for t in (180, 250):
        for n in (0, 3, 7, 20):
            assert found.own[t, n] == pytest.approx(belief(u[: t + 1, n], 120, 30, 90), abs=1e-5)
    np.testing.assert_array_equal(found.own[255], found.own[250])
    assert found.own[250, 7] < 1


def test_young_stocks_have_the_risk_of_stocks_like_them():
    """Risk is gamma own + (1 - gamma) E0 exp(X b), b of statsmodels' WLS over the believed."""
    u, cells = history(N=60)
    settings = SpecificSettings(volatility_half_life=40, lags=0, window=120, few=30, enough=90, look_every=1,
                                shrinkage=0, regime_half_life=None)  # fmt: skip
    found = specific_risk(u, cells, 3, settings)
    t = 200
    own = np.array([own_volatility(u[:, n], t, 40, 0, 40) for n in range(60)])
    gamma = np.array([belief(u[: t + 1, n], 120, 30, 90) for n in range(60)])
    teach = gamma > 1 - 1e-9
    dummies = np.eye(3)[cells.industry[t]]
    X = np.column_stack([dummies, cells.styles[t].astype(float)])
    w = np.sqrt(cells.cap[t])
    fit = sm.WLS(np.log(own[teach]), X[teach], weights=w[teach]).fit()
    structural = np.exp(X @ fit.params)
    level = np.average(own[teach], weights=w[teach]) / np.average(structural[teach], weights=w[teach])
    expected = gamma * own + (1 - gamma) * level * structural
    np.testing.assert_allclose(found.volatility[t], expected, rtol=1e-4)
    assert (gamma[:4] < 1).all()
    assert 0 < teach.sum() < 60


def test_a_stock_without_history_is_covered_by_the_structural_model():
    """From its first day on, if its exposures are known; not without them."""
    u, cells = history(N=40)
    u[:, 5] = np.nan
    cells.styles[240:, 6] = np.nan
    found = specific_risk(u, cells, 3, SpecificSettings(window=120, few=30, enough=90))
    assert np.isfinite(found.volatility[250, 5])
    assert np.isnan(found.volatility[250, 6])
    assert not covered(cells, 3)[250, 6]


def test_shrinkage_to_the_mean_of_the_size_group():
    """It is v m + (1 - v) sigma with v = q d / (D + q d), m cap-weighted, in groups of equal number."""
    u, cells = history(N=40)
    base = {"structural": False, "regime_half_life": None}
    plain = specific_risk(u, cells, 3, SpecificSettings(shrinkage=0, **base)).volatility
    found = specific_risk(u, cells, 3, SpecificSettings(shrinkage=0.5, size_groups=4, **base)).volatility
    t = 220
    order = np.argsort(cells.cap[t])
    for group in np.split(order, 4):
        sigma, cap = plain[t, group].astype(float), cells.cap[t, group]
        m = np.average(sigma, weights=cap)
        d = 0.5 * np.abs(sigma - m)
        v = d / (np.sqrt(np.mean((sigma - m) ** 2)) + d)
        np.testing.assert_allclose(found[t, group], v * m + (1 - v) * sigma, rtol=1e-5)


def test_regime_is_cap_weighted():
    """The multiplier is the EWMA of cap-weighted squared standardised returns."""
    u, cells = history()
    base = {"structural": False, "shrinkage": 0}
    plain = specific_risk(u, cells, 3, SpecificSettings(regime_half_life=None, **base))
    found = specific_risk(u, cells, 3, SpecificSettings(regime_half_life=20, **base))
    t = 230
    squares = (u[t] / plain.volatility[t - 1]) ** 2
    use = np.isfinite(squares)
    assert found.bias[t] == pytest.approx(np.sqrt(np.average(squares[use], weights=cells.cap[t - 1, use])), rel=1e-4)
    days = np.flatnonzero(np.isfinite(found.bias[: t + 1]))
    expected = np.sqrt(np.average(found.bias[days] ** 2, weights=0.5 ** ((t - days) / 20)))
    assert found.multiplier[t] == pytest.approx(expected, rel=1e-6)
    known = np.isfinite(plain.volatility[t])
    np.testing.assert_allclose(found.volatility[t, known], plain.volatility[t, known] * expected, rtol=1e-5)


def test_row_t_knows_no_later_row():
    """Cut after t, row t is the same."""
    u, cells = history()
    settings = SpecificSettings(window=120, few=30, enough=90)
    whole = specific_risk(u, cells, 3, settings).volatility
    for t in (160, 215):
        cut = specific_risk(u[: t + 1], cells.rows(0, t + 1), 3, settings).volatility
        np.testing.assert_array_equal(cut[t], whole[t])

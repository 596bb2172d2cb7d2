"""Factor covariance: moments, Newey-West, eigenfactor and regime adjustments against plain loops."""

import numpy as np
import pytest

from alphaloom.errors import SettingError
from alphaloom.risk.covariance import CovarianceSettings, Regime, factor_covariance
from alphaloom.risk.eigenfactor import adjusted, eigen_bias
from alphaloom.risk.moments import Moments, Noise, joined, positive, windowed, without_noise

PLAIN = {"eigen_scale": 0, "regime_half_life": None, "noise_correction": False}


def draws(T=60, K=4, seed=0):
    """Correlated returns that follow each other."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(T, K)) @ rng.normal(size=(K, K)) * 0.01
    raw[1:] += 0.3 * raw[:-1]
    return raw


def naive(returns, half_life, lags, t):
    """Weighted products of day s with days s - l, over all s up to t, each divided by its weights."""
    K = returns.shape[1]
    out = np.zeros((K, K))
    for lag in range(lags + 1):
        total, weight = np.zeros((K, K)), np.zeros((K, K))
        for s in range(lag, t + 1):
            w = 0.5 ** ((t - s) / half_life)
            product = np.outer(returns[s], returns[s - lag])
            known = np.isfinite(product)
            total += w * np.where(known, product, 0.0)
            weight += w * known
        mean = total / weight
        out += mean if lag == 0 else (1 - lag / (lags + 1)) * (mean + mean.T)
    return out


@pytest.mark.parametrize("lags", [0, 2])
def test_moments_are_weighted_products_with_newey_west_terms(lags):
    """Day by day what a loop over the whole past gives; a missing value leaves its pairs out."""
    returns = draws()
    returns[20:24, 1] = np.nan
    both, own = Moments(4, 15, lags, products=True), Moments(4, 15, lags, products=False)
    for t in range(60):
        both.add(returns[t])
        own.add(returns[t])
        if t in (22, 40, 59):
            expected = naive(returns, 15, lags, t)
            np.testing.assert_allclose(both.corrected(), expected, rtol=1e-10)
            np.testing.assert_allclose(own.corrected(), np.maximum(np.diag(expected), 0), rtol=1e-10)


def test_windowed_equals_the_recursion():
    """On complete returns, the covariance of all days at once is that of the recursion."""
    returns = draws(T=50)
    volatility, correlation = Moments(4, 10, 3, products=False), Moments(4, 25, 2, products=True)
    for row in returns:
        volatility.add(row)
        correlation.add(row)
    expected = joined(volatility.corrected(), correlation.corrected())
    np.testing.assert_allclose(windowed(returns, (10, 25), (3, 2)), expected, rtol=1e-10)


def test_forecast_is_volatilities_and_correlations_of_their_own_half_lives():
    """Without adjustments: sigma of one half-life and lags, correlation of another."""
    returns = draws(T=80)
    settings = CovarianceSettings(
        volatility_half_life=10, volatility_lags=1, correlation_half_life=30, correlation_lags=0, least=20, **PLAIN
    )
    found = factor_covariance(returns, settings)
    assert np.isnan(found.values[18]).all()
    for t in (19, 50, 79):
        sigma = np.sqrt(np.diag(naive(returns, 10, 1, t)))
        products = naive(returns, 30, 0, t)
        spread = np.sqrt(np.diag(products))
        expected = products / np.outer(spread, spread) * np.outer(sigma, sigma)
        np.testing.assert_allclose(found.values[t], expected, rtol=1e-9)


def test_a_forecast_knows_no_later_day():
    """Cut after t, row t is what it was, with every adjustment."""
    returns = draws(T=90)
    settings = CovarianceSettings(simulations=5, simulate_every=7, least=20, regime_half_life=10)
    noise = np.repeat(np.eye(4)[None] * 1e-6, 90, axis=0)
    whole = factor_covariance(returns, settings, noise=noise)
    for t in (25, 60):
        cut = factor_covariance(returns[: t + 1], settings, noise=noise[: t + 1])
        np.testing.assert_array_equal(cut.values[t], whole.values[t])
        assert cut.multiplier[t] == whole.multiplier[t]


def test_factors_come_in_when_they_have_enough_returns():
    """A factor with fewer days than `least` has no row and column; missing days later on are bridged."""
    returns = draws(T=80)
    returns[:30, 2] = np.nan
    returns[60, 0] = np.nan
    found = factor_covariance(returns, CovarianceSettings(least=20, simulations=3))
    assert np.isnan(found.values[40, 2]).all()
    assert np.isfinite(found.values[40][np.ix_([0, 1, 3], [0, 1, 3])]).all()
    assert np.isfinite(found.values[49:]).all()


def test_every_forecast_is_symmetric_and_positive():
    """Also where Newey-West, two half-lives and noise leave an eigenvalue negative."""
    returns = draws(T=70, K=8, seed=3)
    returns[:, 7] = -returns[:, :7].sum(axis=1)
    noise = np.repeat(np.cov(returns.T)[None] * 0.7, 70, axis=0)
    settings = CovarianceSettings(volatility_half_life=8, volatility_lags=5, correlation_half_life=20, least=20)
    found = factor_covariance(returns, settings, noise=noise).values[30:]
    np.testing.assert_allclose(found, found.transpose(0, 2, 1), atol=1e-18)
    smallest = np.linalg.eigvalsh(found)[:, 0]
    assert (smallest >= -1e-14 * np.trace(found, axis1=1, axis2=2)).all()


def test_regime_is_the_weighted_mean_of_squared_surprises():
    """lambda^2 = sum w B^2 / sum w, B^2 the mean of squared returns over variances foreseen; B is told."""
    rng = np.random.default_rng(0)
    values, foreseen = rng.normal(size=(9, 3)), rng.uniform(0.5, 2, (9, 3))
    values[4, 1] = np.nan
    regime = Regime(3.0)
    assert regime.multiplier == 1.0
    squares = np.nanmean((values / foreseen) ** 2, axis=1)
    for t in range(9):
        assert regime.add(values[t], foreseen[t]) == pytest.approx(np.sqrt(squares[t]))
        w = 0.5 ** ((t - np.arange(t + 1)) / 3.0)
        assert regime.multiplier == pytest.approx(np.sqrt(np.average(squares[: t + 1], weights=w)))
    assert np.isnan(regime.add(np.full(3, np.nan), foreseen[0]))


def test_regime_multiplies_all_volatilities_alike():
    """With the adjustment the covariance is multiplier^2 times the one without; the bias statistic is the same."""
    returns = draws(T=70)
    base = {"least": 20, "eigen_scale": 0, "noise_correction": False}
    without = factor_covariance(returns, CovarianceSettings(regime_half_life=None, **base))
    found = factor_covariance(returns, CovarianceSettings(regime_half_life=10, **base))
    np.testing.assert_allclose(
        found.values[30:], without.values[30:] * found.multiplier[30:, None, None] ** 2, rtol=1e-12
    )
    np.testing.assert_array_equal(found.bias, without.bias)
    sigma = np.sqrt(np.diag(without.values[40]))
    assert found.bias[41] == pytest.approx(np.sqrt(np.mean((returns[41] / sigma) ** 2)))


def test_eigen_bias_is_that_of_a_plain_simulation():
    """Rms ratio of true to estimated variances of simulated eigenfactors, in order of their size."""
    F = np.cov(draws(T=200, K=3).T)
    got = eigen_bias(F, 40, (20, 40), (0, 0), simulations=6, seed=2)
    values, vectors = np.linalg.eigh(F)
    rng = np.random.default_rng(2)
    ratios = []
    for _ in range(6):
        f = (rng.standard_normal((40, 3)) * np.sqrt(values)) @ vectors.T
        d, U = np.linalg.eigh(windowed(f, (20, 40), (0, 0)))
        ratios.append([U[:, k] @ F @ U[:, k] / d[k] for k in range(3)])
    np.testing.assert_allclose(got, np.sqrt(np.mean(ratios, axis=0)), rtol=1e-9)


def test_small_eigenfactors_are_foreseen_too_low():
    """The bias falls from above 1 for the smallest to about 1 for the largest; the adjustment scales volatilities."""
    K = 20
    F = np.diag(np.linspace(0.5, 3.0, K))
    bias = eigen_bias(F, 60, (60, 60), (0, 0), simulations=60)
    assert bias[0] > 1.2
    assert bias[0] > bias[K // 2] > bias[-1]
    half = adjusted(F, bias, 0.5)
    np.testing.assert_allclose(np.sqrt(np.diag(half) / np.diag(F)), 1 + 0.5 * (bias - 1), rtol=1e-10)
    np.testing.assert_allclose(adjusted(F, bias, 0.0), F, atol=1e-12)


def test_noise_is_taken_off_up_to_nine_tenths():
    """F less the mean noise; a variance keeps a tenth; the result stays positive."""
    F = np.array([[4.0, 1.0], [1.0, 2.0]])
    np.testing.assert_allclose(without_noise(F, np.diag([1.0, 0.5])), F - np.diag([1.0, 0.5]), atol=1e-12)
    left = without_noise(F, np.diag([1.0, 5.0]))
    assert np.linalg.eigvalsh(left)[0] >= -1e-14
    assert left[1, 1] >= 0.2 - 1e-12
    mean = Noise(2, 10.0)
    mean.add(np.eye(2), np.array([True, False]))
    mean.add(3 * np.eye(2), np.array([True, True]))
    keep = 0.5**0.1
    np.testing.assert_allclose(np.diag(mean.mean()), [(keep + 3) / (keep + 1), 3.0])


def test_positive_clips_at_zero():
    """Eigenvalues ascend and none is below 0."""
    values, vectors = positive(np.array([[1.0, 2.0], [2.0, 1.0]]))
    np.testing.assert_allclose(values, [0.0, 3.0])
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(2), atol=1e-12)


def test_settings_are_checked():
    """Out of range and misspelt settings are refused."""
    with pytest.raises(SettingError, match="volatility_half_life"):
        CovarianceSettings.parse({"volatility_half_life": 0})
    with pytest.raises(SettingError, match="Did you mean 'eigen_scale'"):
        CovarianceSettings.parse({"eigen_scal": 1})

"""Tests of a mean against statsmodels, SciPy and reference values; how often they reject when nothing is there."""

import numpy as np
import pytest
import statsmodels.api as sm
from random_series import autoregressive, overlapping_ic
from scipy import stats

from alphaloom.errors import UsageError
from alphaloom.evaluation.inference import (
    mean_test,
    naive_t,
    newey_west,
    newey_west_error,
    non_overlapping_t,
    student_p,
)


@pytest.mark.parametrize("lags", [0, 1, 2, 8, 20])
def test_newey_west_equals_a_hac_regression(lags):
    """The error of the mean is that of a regression on a constant with a Bartlett HAC covariance."""
    x = autoregressive(0.5, 200, 1) + 0.2
    fit = sm.OLS(x, np.ones(x.size)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    np.testing.assert_allclose(newey_west_error(x, lags), fit.bse[0], rtol=1e-12)


def test_naive_t_equals_scipy():
    """The naive t and its p are those of a one-sample t test."""
    x = autoregressive(0.0, 80, 2) + 0.3
    t, p = stats.ttest_1samp(x, 0.0)
    np.testing.assert_allclose(naive_t(x), t, rtol=1e-12)
    np.testing.assert_allclose(student_p(naive_t(x), x.size - 1), p, rtol=1e-10)


def test_non_overlapping_t_is_the_mean_over_starting_points():
    """Every h-th value from each of the h starts, averaged: no start is preferred."""
    x = autoregressive(0.6, 103, 3) + 0.2
    expected = np.mean([stats.ttest_1samp(x[k::4], 0.0)[0] for k in range(4)])
    np.testing.assert_allclose(non_overlapping_t(x, 4), expected, rtol=1e-12)
    assert non_overlapping_t(x, 1) == naive_t(x)
    assert np.isnan(non_overlapping_t(x[:11], 4))


def test_mean_test_collects_the_pieces():
    """Each field is the separate function's value; NaN is dropped before everything."""
    x = autoregressive(0.4, 150, 8) + 0.3
    holes = np.insert(x, [10, 50, 99], np.nan)
    got = mean_test(holes, steps=3, resamples=300, seed=4)
    assert got == mean_test(x, steps=3, resamples=300, seed=4)
    assert (got.n, got.n_non_overlapping) == (150, 50)
    assert (got.se, got.lags, got.freedom) == newey_west(x, 3)
    np.testing.assert_allclose(got.t_newey_west, x.mean() / got.se)
    np.testing.assert_allclose(got.p_newey_west, 2 * stats.t.sf(abs(got.t_newey_west), got.freedom))
    np.testing.assert_allclose(got.p_non_overlapping, 2 * stats.t.sf(abs(got.t_non_overlapping), 49))
    np.testing.assert_allclose(got.ir * np.sqrt(150), got.t_naive)
    np.testing.assert_allclose(got.positive, (x > 0).mean())
    assert got.block >= 9
    assert got.low < got.mean < got.high
    assert got.ir_low < got.ir < got.ir_high
    assert mean_test(x, steps=3, resamples=300, seed=5).low != got.low


@pytest.mark.parametrize(("n", "steps", "lags"), [(750, 1, 36), (750, 20, 60), (80, 10, 26), (100, 5, 15)])
def test_the_error_is_that_of_statsmodels_corrected_for_its_bias(n, steps, lags):
    """Lags are three horizons or 1.3 roots, at most a third; the known bias of the Bartlett estimate is taken out."""
    x = autoregressive(0.3, n, 5)
    hac = sm.OLS(x, np.ones(n)).fit(cov_type="HAC", cov_kwds={"maxlags": lags}).bse[0]
    weights = 1 - np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / (lags + 1)
    kept = 1 - np.maximum(weights, 0).mean()
    se, used, freedom = newey_west(x, steps)
    assert used == lags
    np.testing.assert_allclose(se, hac / np.sqrt(kept), rtol=0.01)
    np.testing.assert_allclose(freedom, 1.5 * n / (lags + 1))


@pytest.mark.parametrize("b", [0.02, 0.05, 0.1, 0.2])
def test_critical_values_are_near_those_of_fixed_b_theory(b):
    """Student's quantile over the root of the bias agrees with Kiefer and Vogelsang's (2005) table at 97.5 %."""
    published = 1.9600 + 2.9694 * b + 0.4160 * b**2 - 0.5324 * b**3
    ours = stats.t.ppf(0.975, 1.5 / b) / np.sqrt(1 - b + b * b / 3)
    np.testing.assert_allclose(ours, published, rtol=0.015)


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 0.6], [np.nan] * 5, [0.2] * 9])
def test_too_little_to_test_gives_nan_not_an_error(values):
    """Fewer than three values or no variation: the mean alone is known."""
    got = mean_test(np.array(values))
    assert np.isnan(got.t_newey_west)
    assert np.isnan(got.low)
    assert got.n == int(np.sum(~np.isnan(values)))


def test_what_is_refused():
    """Lags beyond the series, blocks below one and two-dimensional series are mistakes of the caller."""
    with pytest.raises(UsageError, match="0 <= lags < 5"):
        newey_west_error(np.arange(5.0), 5)
    with pytest.raises(UsageError, match="at least three"):
        newey_west(np.arange(2.0))
    with pytest.raises(UsageError, match="one axis"):
        naive_t(np.zeros((2, 2)))


def test_overlap_fools_the_naive_t_and_not_the_others():
    """A slow signal without skill, returns over 10 of 250 days: at 5 % only the naive t rejects above 10 %."""
    rng = np.random.default_rng(11)
    rejected = np.zeros(4)
    rounds = 300
    for _ in range(rounds):
        got = mean_test(overlapping_ic(rng, 250, 10, persistence=0.98), steps=10, resamples=200)
        outside = got.low > 0 or got.high < 0
        rejected += [got.p_naive < 0.05, got.p_newey_west < 0.05, got.p_non_overlapping < 0.05, outside]
    naive, *others = rejected / rounds
    assert naive > 0.35
    assert max(others) < 0.1

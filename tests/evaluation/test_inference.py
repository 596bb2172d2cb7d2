"""Tests of a mean against statsmodels, SciPy and reference values; how often they reject when nothing is there."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from alphaloom.errors import UsageError
from alphaloom.evaluation.inference import (
    bootstrap_interval,
    mean_test,
    naive_t,
    newey_west_error,
    non_overlapping_t,
    optimal_block_length,
    stationary_bootstrap,
    student_p,
)


def autoregressive(phi: float, n: int, seed: int) -> np.ndarray:
    """Return n values of an AR(1) process."""
    noise = np.random.default_rng(seed).normal(size=n + 200)
    x = np.zeros(n + 200)
    for t in range(1, n + 200):
        x[t] = phi * x[t - 1] + noise[t]
    return x[200:]


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


@pytest.mark.parametrize(
    ("phi", "n", "seed", "expected"),
    [
        (0.3, 500, 2, 5.793564821785792),
        (0.7, 400, 3, 16.520295076710116),
        (0.9, 1000, 4, 33.64344817914061),
        (-0.4, 300, 5, 3.1543613851903203),
    ],
)
def test_block_length_equals_an_independent_library(phi, n, seed, expected):
    """Values of `arch.bootstrap.optimal_block_length` 8.0.0 (stationary) on the same series."""
    np.testing.assert_allclose(optimal_block_length(autoregressive(phi, n, seed)), expected, rtol=1e-10)


def test_block_length_is_at_least_one():
    """Independent values need no blocks; short and constant series have none to estimate."""
    assert optimal_block_length(autoregressive(0.0, 500, 1)) == 1.0
    assert optimal_block_length(np.ones(50)) == 1.0
    assert optimal_block_length(np.arange(5.0)) == 1.0


@given(st.integers(1, 60), st.floats(1, 30), st.integers(0, 99))
def test_bootstrap_rows_are_runs_of_the_series(n, block, seed):
    """Every resample has n rows within range; each follows its predecessor, round the end, or begins a block."""
    rows = stationary_bootstrap(n, block, 5, seed)
    assert rows.shape == (5, n)
    assert rows.min() >= 0
    assert rows.max() < n
    np.testing.assert_array_equal(rows, stationary_bootstrap(n, block, 5, seed))


def test_bootstrap_blocks_have_the_asked_mean_length():
    """The share of rows that do not follow their predecessor is one over the mean block length."""
    rows = stationary_bootstrap(5000, 8.0, 40, 1)
    breaks = (np.diff(rows, axis=1) % 5000 != 1).mean()
    np.testing.assert_allclose(breaks, 1 / 8, rtol=0.05)


def test_bootstrap_interval_of_independent_values_is_the_normal_one():
    """With blocks of one the interval agrees with mean +- 1.96 standard errors."""
    x = autoregressive(0.0, 1000, 7) + 0.1
    low, high = bootstrap_interval(x, block=1.0, resamples=4000)
    error = x.std() / np.sqrt(x.size)
    np.testing.assert_allclose([low, high], [x.mean() - 1.96 * error, x.mean() + 1.96 * error], atol=0.1 * error)


def test_mean_test_collects_the_pieces():
    """Each field is the separate function's value; NaN is dropped before everything."""
    x = autoregressive(0.4, 150, 8) + 0.3
    holes = np.insert(x, [10, 50, 99], np.nan)
    got = mean_test(holes, steps=3, resamples=300, seed=4)
    assert got == mean_test(x, steps=3, resamples=300, seed=4)
    assert (got.n, got.lags, got.n_non_overlapping) == (150, 6, 50)
    np.testing.assert_allclose(got.se, newey_west_error(x, 6))
    np.testing.assert_allclose(got.t_newey_west, x.mean() / got.se)
    np.testing.assert_allclose(got.p_newey_west, 2 * stats.norm.sf(abs(got.t_newey_west)))
    np.testing.assert_allclose(got.ir * np.sqrt(150), got.t_naive)
    np.testing.assert_allclose(got.positive, (x > 0).mean())
    assert got.block >= 3
    assert got.low < got.mean < got.high
    assert got.ir_low < got.ir < got.ir_high
    assert mean_test(x, steps=3, resamples=300, seed=5).low != got.low


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
    with pytest.raises(UsageError, match="1 or more"):
        stationary_bootstrap(10, 0.5, 3)
    with pytest.raises(UsageError, match="one axis"):
        naive_t(np.zeros((2, 2)))


def test_overlap_fools_the_naive_t_and_not_the_others():
    """Sums of 10 independent values, no mean: naive rejects far above 5 %, Newey-West and non-overlapping do not."""
    rng = np.random.default_rng(11)
    rejected = np.zeros(3)
    rounds = 300
    for _ in range(rounds):
        x = np.convolve(rng.normal(size=509), np.ones(10), "valid")
        t_nw = x.mean() / newey_west_error(x, 20)
        rejected += np.abs([naive_t(x), t_nw, non_overlapping_t(x, 10)]) > 1.96
    naive, newey_west, apart = rejected / rounds
    assert naive > 0.4
    assert newey_west < 0.15
    assert apart < 0.1

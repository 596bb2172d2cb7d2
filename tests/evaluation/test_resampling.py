"""Bootstrap rows, block lengths and widened intervals against arch and known values."""

import numpy as np
import pytest
from arch.bootstrap import optimal_block_length as arch_block_length
from hypothesis import given
from hypothesis import strategies as st
from random_series import autoregressive
from scipy import stats

from alphaloom.errors import UsageError
from alphaloom.evaluation.resampling import (
    block_for,
    circular_bootstrap,
    interval_of,
    optimal_block_length,
    stationary_bootstrap,
    widening,
)
from alphaloom.kernels.bootstrap import stationary_moments


@pytest.mark.parametrize(("phi", "n", "seed"), [(0.3, 500, 2), (0.7, 400, 3), (0.9, 1000, 4), (-0.4, 300, 5)])
def test_block_length_equals_arch(phi, n, seed):
    """The mean block length of the stationary bootstrap is `arch.bootstrap.optimal_block_length`'s."""
    x = autoregressive(phi, n, seed)
    np.testing.assert_allclose(optimal_block_length(x), arch_block_length(x)["stationary"].iloc[0], rtol=1e-10)


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


@given(st.integers(2, 60), st.floats(1, 30), st.integers(0, 99))
def test_moments_are_those_of_the_rows(n, block, seed):
    """Means and deviations without the rows are those of the series at the same rows."""
    x = np.random.default_rng(seed).normal(100.0, 1.0, n)
    means, spread = stationary_moments(x, block, 7, seed)
    drawn = x[stationary_bootstrap(n, block, 7, seed)]
    np.testing.assert_allclose(means, drawn.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(spread, drawn.std(axis=1, ddof=1), atol=1e-7)


def test_every_row_is_as_likely_as_another():
    """Rows and followers of rows are uniform: chi-square over a million draws."""
    rows = stationary_bootstrap(50, 2.0, 20_000, 3)
    for sample in (rows[:, 0], rows[:, 1], rows[:, 49]):
        assert stats.chisquare(np.bincount(sample, minlength=50)).pvalue > 1e-3
    begins = np.diff(rows, axis=1) % 50 != 1
    assert stats.chisquare(np.bincount(rows[:, 1:][begins], minlength=50)).pvalue > 1e-3


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 99))
def test_circular_blocks_are_whole_runs(n, block, seed):
    """Every row within a block follows its predecessor round the end; blocks begin every `block` rows."""
    rows = circular_bootstrap(n, block, 4, seed)
    assert rows.shape == (4, n)
    follows = np.diff(rows, axis=1) % n == 1 % n
    inside = np.arange(1, n) % block != 0
    assert follows[:, inside].all()


def test_a_block_serves_all_series():
    """Several series resampled together take the mean of the blocks they want, within a fifth of the rows."""
    fast, slow = autoregressive(0.0, 600, 1), autoregressive(0.8, 600, 2)
    both = np.column_stack([fast, slow])
    assert block_for(slow) == optimal_block_length(slow)
    assert block_for(both) == (optimal_block_length(fast) + optimal_block_length(slow)) / 2
    assert block_for(fast, 12.0) == 12.0
    assert block_for(slow[:50], 40.0) == 10.0


def test_intervals_of_independent_values_are_students():
    """With blocks of one, mean +- Student's quantile x the usual error, save for n degrees instead of n - 1."""
    x = autoregressive(0.0, 40, 7)
    draws = x[stationary_bootstrap(x.size, 1.0, 20_000, 1)].mean(axis=1)
    low, high = interval_of(draws, x.mean(), 0.95, widening(x.size, 1.0, 0.95))
    half = stats.t.ppf(0.975, 39) * x.std(ddof=1) / np.sqrt(x.size)
    np.testing.assert_allclose([low, high], [x.mean() - half, x.mean() + half], atol=0.05 * half)


def test_blocks_below_one_are_refused():
    """A block holds at least one row."""
    with pytest.raises(UsageError, match="1 or more"):
        stationary_bootstrap(10, 0.5, 3)
    with pytest.raises(UsageError, match="1 or more"):
        circular_bootstrap(10, 0, 3)

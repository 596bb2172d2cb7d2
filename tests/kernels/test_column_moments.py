"""Moments and correlations of columns against numpy and scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alphaloom.kernels.column_moments import column_moments, ic_block, merged_moments


def random_block(T=7, N=40, F=5, seed=0):
    """A block with gaps, infinities, zeros, a constant, an empty and a large-level column."""
    rng = np.random.default_rng(seed)
    block = rng.standard_t(4, size=(T, N, F)).astype(np.float32)
    block[rng.random(block.shape) < 0.2] = np.nan
    block[0, :3, 0] = np.inf
    block[1, :4, 0] = 0.0
    block[:, :, 2] = 7.25
    block[:, :, 3] = np.nan
    block[:, :, 4] = 1e6 + block[:, :, 1]
    return block, rng.random((T, N)) < 0.8


def test_moments_are_those_of_numpy():
    """Counts and sums of powers are those of the finite values of the cells; an empty column has mean 0."""
    block, cells = random_block()
    counts, moments = column_moments(block, cells)
    for f in range(block.shape[2]):
        x = block[:, :, f][cells].astype(np.float64)
        finite = x[np.isfinite(x)]
        assert counts[:, f].tolist() == [finite.size, int(np.isinf(x).sum()), int((finite == 0).sum())]
        mean = finite.mean() if finite.size else 0.0
        expected = [mean, *(((finite - mean) ** k).sum() for k in (2, 3, 4))]
        np.testing.assert_allclose(moments[:, f], expected, rtol=1e-9, atol=1e-9)
    assert moments[1, 2] == 0.0


@settings(max_examples=30)
@given(st.integers(0, 7), st.integers(0, 10_000))
def test_moments_of_parts_are_those_of_the_whole(cut, seed):
    """Wherever the dates are cut, the parts' moments merge to those of all cells."""
    block, cells = random_block(seed=seed)
    counts, moments = column_moments(block, cells)
    a, left = column_moments(block[:cut], cells[:cut])
    b, right = column_moments(block[cut:], cells[cut:])
    np.testing.assert_array_equal(a + b, counts)
    merged = merged_moments(a[0], left, b[0], right)
    np.testing.assert_allclose(merged, moments, rtol=1e-7, atol=1e-5)


def test_correlation_is_that_of_scipy():
    """Each column and date: Pearson's correlation over the stocks where both are finite, and how many there are."""
    block, _ = random_block(T=6, N=60, seed=3)
    rng = np.random.default_rng(1)
    label = (0.3 * np.nan_to_num(block[:, :, 1]) + rng.normal(size=(6, 60))).astype(np.float32)
    label[rng.random((6, 60)) < 0.1] = np.nan
    label[2] = np.nan
    label[3] = 0.5
    values, pairs = ic_block(block, label)
    for d in range(6):
        for f in range(block.shape[2]):
            both = np.isfinite(block[d, :, f]) & np.isfinite(label[d])
            assert pairs[d, f] == both.sum()
            x, y = block[d, both, f].astype(np.float64), label[d, both].astype(np.float64)
            if both.sum() < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
                assert np.isnan(values[d, f])
            else:
                assert values[d, f] == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)

"""Medians, MADs and moments of dates and windows, against NumPy on the members alone."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alphaloom.kernels.cross_order import medians, moments, pooled_medians, pooled_moments


def heavy_block(T: int, N: int, F: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a block with heavy tails, huge and tiny scales, ties, NaN and infinities, and a universe."""
    rng = np.random.default_rng(seed)
    block = rng.standard_t(1.5, size=(T, N, F)).astype(np.float32)
    block[..., 0] = np.round(block[..., 0])
    block[..., 1 % F] *= np.float32(1e18)
    block[..., 2 % F] *= np.float32(1e-20)
    block[rng.random(block.shape) < 0.1] = np.nan
    block[rng.random(block.shape) < 0.02] = np.inf
    block[rng.random(block.shape) < 0.02] = -np.inf
    return block, rng.random((T, N)) < 0.8


def members_of(block: np.ndarray, universe: np.ndarray) -> np.ndarray:
    """Return the block in float64 with everything but the members' finite values NaN."""
    return np.where(universe[:, :, None] & np.isfinite(block), block, np.nan).astype(np.float64)


def nan_median(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return median and MAD, the distance taken from the median as float32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        median = np.nanmedian(values, axis=axis)
        distance = np.abs(values - np.expand_dims(median.astype(np.float32), axis))
        return median, np.nanmedian(distance, axis=axis)


@pytest.mark.parametrize("stocks", [1, 2, 7, 64, 333])
def test_medians_are_exact(stocks: int) -> None:
    """Median and MAD of each date equal NumPy's over the members' finite values, whatever the scale."""
    block, universe = heavy_block(4, stocks, 5, stocks)
    centre, spread = medians(block, universe)
    expected = nan_median(members_of(block, universe), 1)
    np.testing.assert_allclose(centre, expected[0], rtol=3e-7)
    np.testing.assert_allclose(spread, expected[1], rtol=3e-7, atol=1e-30)


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.float32,
        st.tuples(st.just(1), st.integers(1, 40), st.just(1)),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    )
)
def test_median_of_any_floats(block: np.ndarray) -> None:
    """The median is exact for any float32 whatever: subnormal, largest, equal, NaN, infinite."""
    universe = np.ones(block.shape[:2], dtype=bool)
    expected, _ = nan_median(members_of(block, universe), 1)
    np.testing.assert_allclose(medians(block, universe)[0], expected.astype(np.float32), rtol=2e-7, atol=0)


def test_medians_do_not_depend_on_other_dates() -> None:
    """The bracket carried from the date before decides the time, never the result."""
    block, universe = heavy_block(6, 101, 4, 3)
    whole = medians(block, universe)
    for t in range(6):
        alone = medians(block[t : t + 1], universe[t : t + 1])
        np.testing.assert_array_equal(whole[0][t], alone[0][0])
        np.testing.assert_array_equal(whole[1][t], alone[1][0])


@pytest.mark.parametrize("columns", [1, 16, 19])
def test_pooled_medians_see_the_whole_window(columns: int) -> None:
    """Pooled median and MAD are those of all members of all dates together."""
    block, universe = heavy_block(5, 40, columns, columns)
    centre, spread = pooled_medians(block, universe)
    expected = nan_median(members_of(block, universe).reshape(-1, columns), 0)
    np.testing.assert_allclose(centre, expected[0], rtol=3e-7)
    np.testing.assert_allclose(spread, expected[1], rtol=3e-7, atol=1e-30)


@pytest.mark.parametrize("ddof", [0, 1])
def test_moments_are_those_of_the_members(ddof: int) -> None:
    """Mean and deviation equal NumPy's in float64 over the members' finite values; pooled ones over all dates."""
    block, universe = heavy_block(3, 50, 4, 9)
    values = members_of(block, universe)
    centre, spread = moments(block, universe, ddof)
    np.testing.assert_allclose(centre, np.nanmean(values, axis=1), rtol=1e-12)
    np.testing.assert_allclose(spread, np.nanstd(values, axis=1, ddof=ddof), rtol=1e-12)
    pooled = pooled_moments(block, universe, ddof)
    np.testing.assert_allclose(pooled[1], np.nanstd(values.reshape(-1, 4), axis=0, ddof=ddof), rtol=1e-12)


def test_constant_column_has_no_deviation() -> None:
    """The deviation of a constant is exactly 0, so that it can be told from a small one; of one value it is NaN."""
    block = np.full((1, 301, 1), 0.1, dtype=np.float32)
    universe = np.ones((1, 301), dtype=bool)
    assert moments(block, universe)[1][0, 0] == 0
    assert np.isnan(moments(block[:, :1], universe[:, :1])[1][0, 0])

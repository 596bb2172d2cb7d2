"""In-place passes over a block: standardise, clip, fill, neutralise."""

import numpy as np
import pytest

from alphaloom.kernels.cross_block import clip, fill, fill_groups, group_codes, neutralise, standardise


def make(T: int = 3, N: int = 120, F: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a block with holes, a universe and a group field with unknowns."""
    rng = np.random.default_rng(seed)
    block = rng.normal(size=(T, N, F)).astype(np.float32)
    block[rng.random(block.shape) < 0.1] = np.nan
    group = rng.integers(0, 6, (T, N)).astype(np.float32)
    group[rng.random((T, N)) < 0.05] = np.nan
    return block, rng.random((T, N)) < 0.8, group


@pytest.mark.parametrize("K", [0, 1, 3])
@pytest.mark.parametrize("holes", [True, False])
def test_neutralise_equals_least_squares_with_dummies(K: int, holes: bool) -> None:
    """The residual equals a full-dummy lstsq on the members, evaluated on every stock that has the regressors."""
    block, universe, field = make()
    rng = np.random.default_rng(1)
    if not holes:  # every member has every value; one stock outside the universe has not
        block = rng.normal(100, 1, block.shape).astype(np.float32)
        block[:, 5], universe[:, 5] = np.nan, False
    regressors = rng.normal(20, 2, (K, *universe.shape)).astype(np.float32)
    regressors[:, rng.random(universe.shape) < 0.04] = np.nan
    codes, n_groups = group_codes(field)
    out = block.copy()
    neutralise(out, universe, codes, n_groups, regressors)
    for t in range(block.shape[0]):
        design = np.column_stack([np.eye(n_groups)[codes[t]], regressors[:, t].T.astype(float)])
        usable = (codes[t] >= 0) & np.isfinite(design).all(axis=1)
        for f in range(block.shape[2]):
            y = block[t, :, f].astype(float)
            fitted = usable & universe[t] & np.isfinite(y)
            beta = np.linalg.lstsq(design[fitted], y[fitted], rcond=None)[0]
            expected = np.where(usable, y - np.nan_to_num(design) @ beta, np.nan)
            np.testing.assert_allclose(out[t, :, f], expected, atol=2e-6 if holes else 1e-5)


def test_neutralise_drops_a_regressor_that_says_nothing_new() -> None:
    """A regressor constant in each group, or a copy of another, leaves the residual as it is without it."""
    block, universe, field = make()
    codes, n_groups = group_codes(field)
    rng = np.random.default_rng(2)
    size = rng.normal(22, 1, universe.shape).astype(np.float32)
    by_group = codes.astype(np.float32)
    once, twice = block.copy(), block.copy()
    neutralise(once, universe, codes, n_groups, size[None])
    neutralise(twice, universe, codes, n_groups, np.stack([by_group, size, 2 * size]))
    np.testing.assert_allclose(twice, once, atol=1e-5)


def test_neutralise_without_members_is_missing() -> None:
    """A group in which no member has a value gives NaN, not the raw value."""
    block = np.array([[[1.0], [2.0], [5.0]]], dtype=np.float32)
    codes = np.array([[0, 0, 1]], dtype=np.int32)
    neutralise(block, np.array([[True, True, False]]), codes, 2, np.empty((0, 1, 3), np.float32))
    np.testing.assert_array_equal(block[0, :, 0], np.float32([-0.5, 0.5, np.nan]))


def test_fill_groups_uses_the_members_of_the_group() -> None:
    """Only members are filled, with the mean of the group's members; infinities are no part of it."""
    nan, inf = np.nan, np.inf
    block = np.array([[1, 3, 100, nan, nan, inf, nan, nan]], dtype=np.float32)[:, :, None]
    universe = np.array([[True, True, False, True, False, True, True, True]])
    codes = np.array([[0, 0, 0, 0, 0, 0, 1, -1]], dtype=np.int32)
    fill_groups(block, universe, codes, 2)
    np.testing.assert_array_equal(block[0, :, 0], np.float32([1, 3, 100, 2, nan, inf, nan, nan]))


def test_fill_and_clip_take_one_number_a_column_or_a_date() -> None:
    """Numbers `[F]` hold for all dates; NaN numbers do nothing; non-members are not filled."""
    block = np.array([[[np.nan, 9.0]], [[np.nan, -9.0]]], dtype=np.float32)
    fill(block, np.array([[True], [False]]), np.float32([7.0, 0.0]))
    clip(block, np.float32([np.nan, -1.0]), np.array([[5.0, 1.0], [5.0, np.nan]], dtype=np.float32))
    np.testing.assert_array_equal(block, np.float32([[[5.0, 1.0]], [[np.nan, -1.0]]]))


@pytest.mark.parametrize(("limit", "beyond"), [(None, np.nan), (3.0, 3.0)])
def test_standardise_without_spread(limit: float | None, beyond: float) -> None:
    """With a spread of 0 the centre becomes 0, anything else the bound it tends to, NaN when there is none."""
    block = np.array([[[2.0], [2.5], [1.0], [np.nan]]], dtype=np.float32)
    standardise(block, np.array([2.0]), np.array([0.0]), limit)
    np.testing.assert_array_equal(block[0, :, 0], np.float32([0.0, beyond, -beyond, np.nan]))


def test_group_codes_of_an_empty_field() -> None:
    """A field without any code has no groups."""
    codes, n_groups = group_codes(np.full((2, 3), np.nan, dtype=np.float32))
    assert n_groups == 0
    assert (codes == -1).all()

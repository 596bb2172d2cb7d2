"""Ranks, normal scores and correlations per date, against SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, pearsonr, rankdata, spearmanr

from alphaloom.kernels.cross_rank import ic, rank, rank_gauss, rank_ic, rank_ic_block

FLOATS = st.one_of(st.floats(width=32, allow_nan=True), st.sampled_from([0.0, -0.0, 1.0, np.nan, np.inf]))


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, st.tuples(st.just(1), st.integers(1, 50), st.just(1)), elements=FLOATS))
def test_rank_averages_ties(block: np.ndarray) -> None:
    """Ranks of members are SciPy's average ranks of the non-missing values; -0 and 0 tie."""
    out = block.copy()
    counts = rank(out, np.ones(block.shape[:2], dtype=bool))
    x = block[0, :, 0]
    known = ~np.isnan(x)
    assert counts[0, 0] == known.sum()
    np.testing.assert_array_equal(out[0, known, 0], rankdata(x[known]))
    assert np.isnan(out[0, ~known, 0]).all()


def test_rank_places_outsiders_between_members() -> None:
    """A stock outside the universe gets the place it would take among the members, never beyond their range."""
    x = np.array([10.0, 20.0, 20.0, 40.0, 15.0, 20.0, 1.0, 99.0], dtype=np.float32)
    universe = np.array([[True] * 4 + [False] * 4])
    out = x[None, :, None].copy()
    rank(out, universe)
    np.testing.assert_array_equal(out[0, :, 0], np.float32([1, 2.5, 2.5, 4, 1.5, 2.5, 1, 4]))


def test_rank_of_a_date_without_members_is_missing() -> None:
    """Without a member there is nothing to rank among."""
    block = np.ones((1, 3, 1), dtype=np.float32)
    rank_gauss(block, np.zeros((1, 3), dtype=bool))
    assert np.isnan(block).all()


def test_rank_gauss_is_the_normal_quantile() -> None:
    """Normal scores are the inverse normal of (rank - 1/2) / n, column by column."""
    rng = np.random.default_rng(0)
    block = np.round(rng.normal(size=(4, 70, 3)), 1).astype(np.float32)
    block[rng.random(block.shape) < 0.2] = np.nan
    out = block.copy()
    rank_gauss(out, np.ones((4, 70), dtype=bool))
    for t in range(4):
        for f in range(3):
            known = ~np.isnan(block[t, :, f])
            expected = norm.ppf((rankdata(block[t, known, f]) - 0.5) / known.sum())
            np.testing.assert_allclose(out[t, known, f], expected, atol=1e-6)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(block))


def pairs(D: int, N: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and labels with ties, related to each other, each with its own holes."""
    rng = np.random.default_rng(seed)
    label = np.round(rng.normal(size=(D, N)), 1).astype(np.float32)
    score = np.round(0.3 * label + rng.normal(size=(D, N)), 1).astype(np.float32)
    score[rng.random((D, N)) < 0.15] = np.nan
    label[rng.random((D, N)) < 0.15] = np.nan
    return score, label


def test_rank_ic_is_spearman_of_the_pairs() -> None:
    """RankIC is SciPy's Spearman over the stocks that have both, ties averaged, with their number."""
    score, label = pairs(8, 90, 1)
    values, counts = rank_ic(score, label)
    for d in range(8):
        both = ~np.isnan(score[d]) & ~np.isnan(label[d])
        assert counts[d] == both.sum()
        assert values[d] == pytest.approx(spearmanr(score[d, both], label[d, both])[0], abs=1e-12)


@pytest.mark.parametrize("decimals", [0, 1, 2, 3, 7])
def test_rank_ic_of_many_stocks_is_spearman(decimals: int) -> None:
    """Whether a column has a few distinct values or as many as stocks."""
    rng = np.random.default_rng(decimals)
    score = np.round(rng.normal(size=(2, 3000)), decimals).astype(np.float32)
    label = (0.3 * score + rng.normal(size=score.shape)).astype(np.float32)
    score[rng.random(score.shape) < 0.1] = np.nan
    label[rng.random(score.shape) < 0.1] = np.nan
    values, counts = rank_ic(score, label)
    for t in range(2):
        both = ~(np.isnan(score[t]) | np.isnan(label[t]))
        assert counts[t] == both.sum()
        np.testing.assert_allclose(values[t], spearmanr(score[t, both], label[t, both]).statistic, atol=1e-14)


def test_rank_ic_block_is_rank_ic_of_each_column() -> None:
    """Every column has the RankIC it has alone, its own holes and all."""
    _, label = pairs(5, 60, 2)
    block = np.stack([pairs(5, 60, 10 + f)[0] for f in range(35)], axis=2)
    values, counts = rank_ic_block(block, label)
    for f in range(35):
        alone = rank_ic(block[:, :, f], label)
        np.testing.assert_array_equal(values[:, f], alone[0])
        np.testing.assert_array_equal(counts[:, f], alone[1])


def test_rank_ic_is_blind_to_monotone_changes() -> None:
    """A rising function of the score changes no RankIC; a falling one its sign."""
    score, label = pairs(4, 50, 3)
    values, _ = rank_ic(score, label)
    np.testing.assert_array_equal(rank_ic(np.exp(score) * 3, label)[0], values)
    np.testing.assert_allclose(rank_ic(-score, label)[0], -values, atol=1e-12)


def test_ic_is_pearson_of_the_pairs() -> None:
    """IC is SciPy's Pearson over the stocks where both are finite, in float64."""
    score, label = pairs(6, 80, 4)
    score += 1000
    values, counts = ic(score, label)
    for d in range(6):
        both = np.isfinite(score[d]) & np.isfinite(label[d])
        expected = pearsonr(score[d, both].astype(float), label[d, both].astype(float))[0]
        assert counts[d] == both.sum()
        assert values[d] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("function", [ic, rank_ic])
def test_no_correlation_without_variation(function) -> None:
    """A constant side, a single pair or none gives NaN, never 0 or infinity."""
    score = np.array([[0.1] * 7, [1, 2] + [np.nan] * 5, [np.nan] * 7])
    label = np.array([[1, 2, 3, 4, 5, 6, 7], [np.nan, 2, 3, 4, 5, 6, 7], [1] * 7], dtype=float)
    values, counts = function(score, label)
    assert np.isnan(values).all()
    np.testing.assert_array_equal(counts, [7, 1, 0])

"""IC and RankIC against SciPy, date by date, and their invariances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from alphaloom.errors import AlignmentError
from alphaloom.evaluation.ic import critical_correlation, ic_series, rank_rows


def pair(seed: int, D: int = 12, N: int = 40, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return related scores and returns `[D, N]` with holes."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(D, N))
    returns = 0.3 * score + rng.normal(size=(D, N))
    if ties:
        score, returns = np.round(score), np.round(returns, 1)
    score[rng.random((D, N)) < 0.15] = np.nan
    returns[rng.random((D, N)) < 0.15] = np.nan
    return score, returns


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_to_scipy_on_every_date(ties, dtype):
    """IC is Pearson's and RankIC Spearman's correlation, ties averaged, over names with both values."""
    score, returns = (x.astype(dtype) for x in pair(1, ties=ties))
    got = ic_series(score, returns, min_names=5)
    for d in range(score.shape[0]):
        both = ~(np.isnan(score[d]) | np.isnan(returns[d]))
        x, y = score[d, both].astype(float), returns[d, both].astype(float)
        np.testing.assert_allclose(got.ic[d], stats.pearsonr(x, y)[0], rtol=1e-9)
        x, y = x.astype(np.float32), y.astype(np.float32)
        np.testing.assert_allclose(got.rank_ic[d], stats.spearmanr(x, y)[0], rtol=1e-9)
        assert got.n[d] == both.sum()


def test_ranks_equal_scipy():
    """Ranks are 1 to n with ties averaged; a missing value has none and takes no place."""
    score, _ = pair(2, ties=True)
    got = rank_rows(score)
    for d in range(score.shape[0]):
        np.testing.assert_array_equal(got[d], stats.rankdata(score[d], nan_policy="omit"))
    assert rank_rows(np.empty((3, 0))).shape == (3, 0)
    assert np.isnan(rank_rows(np.full((2, 4), np.nan))).all()


def test_undefined_dates_are_nan_not_zero():
    """Too few names, a constant score or a constant return leave the date undefined."""
    score, returns = pair(3)
    score[0] = 1.0
    returns[1] = 0.0
    score[2, 4:] = np.nan
    score[3] = np.nan
    got = ic_series(score, returns, min_names=5)
    assert np.isnan(got.ic[:4]).all()
    assert np.isnan(got.rank_ic[:4]).all()
    assert not np.isnan(got.rank_ic[4:]).any()


@given(st.integers(0, 1000), st.booleans())
def test_invariances_of_rank_ic(seed, ties):
    """RankIC ignores monotone changes of the score and the order of names, and flips with the score's sign."""
    score, returns = pair(seed, D=3, N=25, ties=ties)
    base = ic_series(score, returns, min_names=3).rank_ic
    order = np.random.default_rng(seed).permutation(25)
    np.testing.assert_allclose(ic_series(np.exp(score), returns, min_names=3).rank_ic, base, atol=1e-12)
    np.testing.assert_allclose(ic_series(-score, returns, min_names=3).rank_ic, -base, atol=1e-12)
    np.testing.assert_allclose(ic_series(score[:, order], returns[:, order], min_names=3).rank_ic, base, atol=1e-12)
    np.testing.assert_allclose(ic_series(returns, score, min_names=3).rank_ic, base, atol=1e-12)
    assert (np.abs(base[~np.isnan(base)]) <= 1).all()


def test_inputs_are_left_alone():
    """Measuring changes neither scores nor returns."""
    score, returns = pair(4)
    copies = score.copy(), returns.copy()
    ic_series(score, returns)
    np.testing.assert_array_equal(score, copies[0])
    np.testing.assert_array_equal(returns, copies[1])


def test_critical_correlation_is_where_the_t_test_turns():
    """A correlation of exactly the critical size has a two-sided Student p of the level."""
    for n in (5, 30, 800):
        r = critical_correlation(np.array([n]), 0.05)[0]
        t = r * np.sqrt((n - 2) / (1 - r * r))
        np.testing.assert_allclose(2 * stats.t.sf(t, n - 2), 0.05, rtol=1e-8)
    assert critical_correlation(np.array([2]))[0] == 1.0


def test_shapes_must_agree():
    """Scores and returns of other shapes are refused, not broadcast."""
    with pytest.raises(AlignmentError, match="both be"):
        ic_series(np.zeros((3, 4)), np.zeros((3, 5)))


def test_ic_of_values_far_from_zero():
    """Values far from zero keep their correlation: they are centred first."""
    x = np.random.default_rng(0).normal(size=(1, 50))
    y = x + np.random.default_rng(1).normal(size=(1, 50))
    np.testing.assert_allclose(ic_series(x + 1e6, y - 1e6).ic, ic_series(x, y).ic, rtol=1e-8)

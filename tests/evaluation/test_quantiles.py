"""Quantile portfolios against loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alphaloom.evaluation.quantiles import (
    assign_quantiles,
    chain_dates,
    monotonicity,
    quantile_returns,
    quantile_turnover,
    rank_autocorrelation,
    spread_cost,
)


def scores(seed: int, D: int = 8, N: int = 47) -> np.ndarray:
    """Return scores `[D, N]` with holes."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(D, N))
    score[rng.random((D, N)) < 0.1] = np.nan
    return score


@given(st.integers(0, 500), st.integers(2, 10))
def test_quantiles_are_equal_sized_and_ordered(seed, Q):
    """Without ties, sizes differ by at most one and every score in a higher quantile is higher."""
    score = scores(seed, D=3)
    bucket = assign_quantiles(score, Q, min_names=5)
    for d in range(3):
        has = ~np.isnan(score[d])
        assert ((bucket[d] >= 0) == has).all()
        sizes = np.bincount(bucket[d, has], minlength=Q)
        assert sizes.max() - sizes.min() <= 1
        tops = [score[d, bucket[d] == q].max() for q in range(Q - 1)]
        floors = [score[d, bucket[d] == q].min() for q in range(1, Q)]
        assert (np.array(tops) < np.array(floors)).all()


def test_ties_share_a_quantile():
    """Names with equal scores are never split."""
    bucket = assign_quantiles(np.array([[1.0, 1, 1, 1, 2, 2, 2, 2, 2, 2]]), 5, min_names=5)
    assert len(set(bucket[0, :4])) == 1
    assert len(set(bucket[0, 4:])) == 1


def test_thin_dates_have_no_quantiles():
    """Fewer names than asked for, or than quantiles, leave the date empty."""
    score = scores(0)
    score[0, 6:] = np.nan
    assert (assign_quantiles(score, 5, min_names=10)[0] == -1).all()
    assert (assign_quantiles(score[:, :4], 5, min_names=2) == -1).all()


def test_placing_does_not_depend_on_returns():
    """Quantile means leave out names without a return but never move the others."""
    score = scores(1)
    rng = np.random.default_rng(2)
    returns = rng.normal(size=score.shape)
    returns[rng.random(score.shape) < 0.2] = np.nan
    bucket = assign_quantiles(score, 4)
    mean, count = quantile_returns(bucket, returns, 4)
    for d in range(score.shape[0]):
        for q in range(4):
            inside = [returns[d, n] for n in range(score.shape[1]) if bucket[d, n] == q]
            inside = [r for r in inside if not np.isnan(r)]
            np.testing.assert_allclose(mean[d, q], np.mean(inside))
            assert count[d, q] == len(inside)


def test_an_empty_quantile_is_nan():
    """A quantile in which no name has a return has no return itself."""
    bucket = np.array([[0, 1]])
    mean, count = quantile_returns(bucket, np.array([[0.1, np.nan]]), 2)
    np.testing.assert_array_equal(mean, [[0.1, np.nan]])
    np.testing.assert_array_equal(count, [[1, 0]])


def test_turnover_equals_a_loop():
    """Turnover is the share of today's names that were not there before; unknown at the start and when empty."""
    bucket = assign_quantiles(scores(3, D=9), 3, min_names=5)
    bucket[4] = -1
    for steps in (1, 2):
        got = quantile_turnover(bucket, 3, steps=steps)
        for d in range(9):
            for q in range(3):
                now = set(np.flatnonzero(bucket[d] == q))
                before = set(np.flatnonzero(bucket[d - steps] == q)) if d >= steps else set()
                expected = len(now - before) / len(now) if now and before else np.nan
                np.testing.assert_allclose(got[d, q], expected)
    assert np.isnan(quantile_turnover(bucket, 3, steps=20)).all()


def test_rank_autocorrelation_of_unchanged_and_reversed_scores():
    """The same scores give one, reversed ones minus one, over names common to both dates."""
    score = np.vstack([scores(4, D=1), scores(4, D=1), -scores(4, D=1)])
    np.testing.assert_allclose(rank_autocorrelation(score), [np.nan, 1.0, -1.0])
    assert np.isnan(rank_autocorrelation(score, steps=5)).all()


def test_chain_skips_overlap_and_incomplete_dates():
    """Back-to-back periods begin every `steps` dates; incomplete ones are left out without moving the rest."""
    complete = np.array([True, True, True, False, True, True, False])
    assert chain_dates(complete, 3).tolist() == [0]
    assert chain_dates(complete, 2).tolist() == [0, 2, 4]
    assert chain_dates(complete, 1).tolist() == [0, 1, 2, 4, 5]


def test_spread_cost_by_hand():
    """Opening trades each leg once; later each leg sells and buys its turnover."""
    turnover = np.array([[np.nan, np.nan, np.nan], [0.2, 0.9, 0.5]])
    np.testing.assert_allclose(spread_cost(turnover, 10.0), [2 * 0.001, 2 * (0.2 + 0.5) * 0.001])


def test_monotonicity():
    """One when every quantile pays more than the one below, minus one when less."""
    assert monotonicity(np.array([-1.0, 0.0, 0.5, 3.0])) == 1.0
    assert monotonicity(np.array([3.0, 2.0, 1.0])) == -1.0

"""Sharpe ratios after luck and search, against skfolio and their own definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from skfolio import measures

from alphaloom.errors import DataError, UsageError
from alphaloom.evaluation.validity.sharpe import (
    deflated_sharpe,
    effective_trials,
    expected_best,
    minimum_backtest_length,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_ratio,
)
from alphaloom.evaluation.validity.trials import Trials


def made(T: int, K: int, seed: int, *, common: float = 0.0, drift: float = 0.0) -> Trials:
    """Return K trials of skewed, fat-tailed returns that share a part."""
    rng = np.random.default_rng(seed)
    own = rng.standard_t(4, (T, K)) - 0.3 * (rng.exponential(size=(T, K)) - 1)
    return Trials(0.01 * (own + common * rng.normal(size=(T, 1)) + drift), tuple(f"t{k}" for k in range(K)))


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 300), st.floats(-0.3, 0.3), st.floats(-0.2, 0.2), st.integers(0, 99))
def test_probabilistic_sharpe_equals_skfolio(T, drift, benchmark, seed):
    """The formula of 2012, moments with divisor n and the ratio with n - 1."""
    x = made(T, 1, seed, drift=drift).returns[:, 0]
    theirs = measures.probabilistic_sharpe_ratio(x, benchmark_sharpe_ratio=benchmark)
    np.testing.assert_allclose(probabilistic_sharpe(x, benchmark), theirs, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize(("T", "K", "common"), [(500, 2, 0.0), (500, 30, 1.0), (1000, 100, 0.0)])
def test_deflated_sharpe_equals_skfolio(T, K, common):
    """Threshold and probability for the number of trials, and for the effective number, a fraction."""
    trials = made(T, K, 3, common=common, drift=0.05)
    got = deflated_sharpe(trials)
    ratios = trials.returns.mean(axis=0) / trials.returns.std(axis=0, ddof=1)
    best = trials.returns[:, np.argmax(ratios)]
    assert got.best == np.argmax(ratios)
    np.testing.assert_allclose(got.deflated, measures.deflated_sharpe_ratio(best, ratios), rtol=1e-10)
    fewer = measures.expected_max_sharpe_ratio(got.effective, ratios.std(ddof=1))
    np.testing.assert_allclose(got.expected_effective, fewer, rtol=1e-10)
    np.testing.assert_allclose(
        got.deflated_effective, measures.probabilistic_sharpe_ratio(best, benchmark_sharpe_ratio=fewer), rtol=1e-10
    )
    np.testing.assert_allclose(got.probabilistic, probabilistic_sharpe(best))
    assert got.deflated <= got.deflated_effective <= got.probabilistic


def test_the_track_record_is_what_reaches_the_confidence():
    """With so many periods of the same moments the probability is the confidence: solved for T by hand."""
    x = made(400, 1, 1, drift=0.2).returns[:, 0]
    sr, g3, g4 = sharpe_ratio(x), stats.skew(x), stats.kurtosis(x, fisher=False)
    T = minimum_track_record(x, 0.02, 0.9)
    z = (sr - 0.02) * np.sqrt(T - 1) / np.sqrt(1 - g3 * sr + (g4 - 1) / 4 * sr**2)
    np.testing.assert_allclose(stats.norm.cdf(z), 0.9, rtol=1e-12)
    assert minimum_track_record(x, sr + 1e-9) == float("inf")


def test_expected_best_is_near_the_simulated_one():
    """The mean of the largest of K standard normal values, and the length of record it takes to rule a ratio out."""
    draws = np.random.default_rng(0).normal(size=(4000, 100)).max(axis=1)
    np.testing.assert_allclose(expected_best(100, 1.0), draws.mean(), rtol=0.02)
    assert expected_best(1, 1.0) == 0.0
    np.testing.assert_allclose(minimum_backtest_length(45, 0.1) * 0.1**2, expected_best(45, 1.0) ** 2)


def test_effective_trials_by_pairs():
    """Mean correlation over pairs, one by one; copies count once and independent ones all."""
    trials = made(300, 6, 5, common=1.0)
    pairs = [stats.pearsonr(trials.returns[:, i], trials.returns[:, j])[0] for i in range(6) for j in range(i)]
    np.testing.assert_allclose(effective_trials(trials), np.mean(pairs) + (1 - np.mean(pairs)) * 6)
    column = trials.returns[:, :1]
    copies = Trials(np.column_stack([column, 2 * column, 3 * column]), ("a", "b", "c"))
    np.testing.assert_allclose(effective_trials(copies), 1.0)
    assert effective_trials(Trials(np.column_stack([column, -column]), ("a", "b"))) == 2.0
    assert effective_trials(Trials(column, ("a",))) == 1.0


def test_one_trial_is_not_deflated():
    """Without a choice there is nothing to take off."""
    got = deflated_sharpe(made(200, 1, 2, drift=0.1))
    assert got.deflated == got.deflated_effective == got.probabilistic
    assert got.expected == 0.0


def test_mistakes_are_named():
    """Columns out of range, still series, thin records and impossible settings."""
    trials = made(50, 3, 1)
    with pytest.raises(UsageError, match="from 0 to 2; got 3"):
        deflated_sharpe(trials, chosen=3)
    with pytest.raises(DataError, match="None of the 2 trials varies"):
        deflated_sharpe(Trials(np.full((9, 2), 0.01), ("a", "b")))
    with pytest.raises(UsageError, match="between 0.5 and 1"):
        minimum_track_record(trials.returns[:, 0], confidence=0.4)
    with pytest.raises(UsageError, match="one trial or more"):
        expected_best(0.5, 1.0)
    with pytest.raises(UsageError, match="positive"):
        minimum_backtest_length(5, 0.0)
    assert np.isnan(probabilistic_sharpe(np.array([0.1, np.nan, 0.2])))

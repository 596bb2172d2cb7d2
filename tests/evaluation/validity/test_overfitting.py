"""PBO against a loop over halvings written from the paper, and where its value is known."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from alphaloom.errors import UsageError
from alphaloom.evaluation.validity.overfitting import backtest_overfitting
from alphaloom.evaluation.validity.trials import Trials


def named(returns: np.ndarray) -> Trials:
    """Return trials with made-up names."""
    return Trials(returns, tuple(f"t{k}" for k in range(returns.shape[1])))


@pytest.mark.parametrize("gap", [0, 3])
def test_equals_a_loop_over_halvings(gap):
    """Every choice of half of the runs: best in sample, its average rank out of sample, log odds."""
    x = np.random.default_rng(1).normal(0.02, 1, (205, 12))
    got = backtest_overfitting(named(x), blocks=8, gap=gap)
    runs = [run[gap : run.shape[0] - gap] for run in np.array_split(x[5:], 8)]
    logits, inside, outside = [], [], []
    for half in combinations(range(8), 4):
        first = np.concatenate([runs[k] for k in half])
        second = np.concatenate([runs[k] for k in range(8) if k not in half])
        a, b = (part.mean(axis=0) / part.std(axis=0, ddof=1) for part in (first, second))
        w = stats.rankdata(b)[np.argmax(a)] / 13
        logits.append(np.log(w / (1 - w)))
        inside.append(a.max())
        outside.append(b[np.argmax(a)])
    np.testing.assert_allclose(got.logits, logits, atol=1e-12)
    np.testing.assert_allclose(got.in_sample, inside, rtol=1e-9)
    np.testing.assert_allclose(got.out_of_sample, outside, rtol=1e-9)
    np.testing.assert_allclose(got.probability, (np.array(logits) < 0).mean())
    np.testing.assert_allclose(got.slope, stats.linregress(inside, outside).slope)
    np.testing.assert_allclose(got.loss, (np.array(outside) < 0).mean())
    assert not got.is_coarse


def test_one_better_trial_is_found_in_every_half():
    """With one true winner the probability is near 0; with few trials the ranks are called coarse."""
    x = np.random.default_rng(2).normal(size=(480, 9))
    x[:, 4] += 0.5
    got = backtest_overfitting(named(x))
    assert got.logits.size == 12870
    assert got.probability == 0.0
    assert set(got.chosen.tolist()) == {4}
    assert got.is_coarse


def test_a_trial_that_only_lived_in_one_half_is_overfitting():
    """Trials that are good in one run and bad in the others: the best in sample is the worst out of sample."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(160, 16)) * 0.1
    for k in range(16):
        x[10 * k : 10 * k + 10, k] += 1.0
    assert backtest_overfitting(named(x)).probability > 0.9


def test_copies_tie_at_the_median():
    """Equal trials rank in the middle: half a failure each time."""
    column = np.random.default_rng(4).normal(size=(64, 1))
    assert backtest_overfitting(named(np.repeat(column, 3, axis=1)), blocks=4).probability == 0.5


def test_mistakes_are_named():
    """One trial, odd runs and runs too short say what is wrong."""
    x = np.random.default_rng(5).normal(size=(30, 3))
    with pytest.raises(UsageError, match="at least two trials"):
        backtest_overfitting(named(x[:, :1]))
    with pytest.raises(UsageError, match="even, from 2 to 24; got 5"):
        backtest_overfitting(named(x), blocks=5)
    with pytest.raises(UsageError, match="30 dates in 16 runs"):
        backtest_overfitting(named(x))

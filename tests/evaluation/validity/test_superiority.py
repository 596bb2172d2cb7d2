"""SPA and StepM: the studentised columns go to arch, and the answers are those of Hansen's formula."""

import numpy as np
import pytest
from arch.bootstrap import SPA
from random_series import autoregressive

from alphaloom.errors import UsageError
from alphaloom.evaluation.resampling import block_for, stationary_bootstrap
from alphaloom.evaluation.validity.superiority import studentiser, superiority
from alphaloom.evaluation.validity.trials import Trials


def gains(seed: int, T: int = 400, K: int = 15) -> np.ndarray:
    """Return gains without skill, some trials far more volatile than others."""
    return np.column_stack([autoregressive(0.2, T, 100 * seed + k) * (1 + 3 * (k % 4)) for k in range(K)])


def named(returns: np.ndarray) -> Trials:
    """Return trials with made-up names."""
    return Trials(returns, tuple(f"t{k}" for k in range(returns.shape[1])))


def test_the_error_is_that_of_arch():
    """The stationary bootstrap's variance in closed form is the one arch keeps, and that of many resamples."""
    x = gains(1)[:, :4]
    theirs = SPA(np.zeros(400), -x, block_size=7)
    theirs._compute_variance()
    ours = studentiser(x, 7.0)
    np.testing.assert_allclose(ours**2, theirs._loss_diff_var, rtol=1e-10)
    means = x[stationary_bootstrap(400, 7.0, 4000, 1)].mean(axis=1)
    np.testing.assert_allclose(means.std(axis=0) * 20, ours, rtol=0.05)


def test_p_is_hansens_by_hand():
    """Largest studentised mean against recentred resamples, columns far below zero left uncentred."""
    x = gains(2)
    x[:, 3] -= 5.0
    x[:, 5] += 0.15 * x[:, 5].std()
    got = superiority(named(x), resamples=4000)
    block = block_for(x)
    omega = studentiser(x, block)
    means = x.mean(axis=0)
    statistic = max(0.0, (np.sqrt(400) * means / omega).max())
    draws = np.array([x[rows].mean(axis=0) for rows in stationary_bootstrap(400, round(block), 4000, 9)])
    far_below = means < -omega / np.sqrt(400) * np.sqrt(2 * np.log(np.log(400)))
    centred = np.sqrt(400) * (draws - np.where(far_below, 0.0, means)) / omega
    assert far_below[3]
    np.testing.assert_allclose(got.p_value, (centred.max(axis=1) > statistic).mean(), atol=0.03)
    assert got.p_lower <= got.p_value <= got.p_upper


def test_a_steady_winner_is_not_hidden_by_volatile_trials():
    """Plain maxima would look at the volatile trials alone; the studentised test names the steady one, and only it."""
    x = gains(3)
    x[:, 0] += 0.25 * x[:, 0].std()
    got = superiority(named(x), resamples=500)
    assert got.superior == ("t0",)
    assert got.best == "t0"
    assert got.p_value < 0.05
    unscaled = SPA(np.zeros(400), -x, block_size=round(got.block), reps=500, seed=0)
    unscaled.compute()
    assert unscaled.pvalues["consistent"] > 0.3


def test_a_trial_equal_to_its_benchmark_is_refused():
    """No variation, no error to divide by."""
    x = gains(4)
    x[:, 2] = 0.0
    with pytest.raises(UsageError, match="'t2' never differs"):
        superiority(named(x))


def test_all_trials_may_be_superior():
    """Strong trials without exception are all named; the steps end when nothing is left."""
    x = np.random.default_rng(3).normal(0.5, 1.0, (400, 5))
    got = superiority(named(x), resamples=200)
    assert got.superior == ("t0", "t1", "t2", "t3", "t4")
    assert got.p_value < 0.01

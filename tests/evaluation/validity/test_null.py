"""Where there is no skill, the shown tests seldom find any: a small form of `benchmarks/null_study.py`."""

import numpy as np
import pytest
from random_series import overlapping_ic

from alphaloom.evaluation.inference import mean_test
from alphaloom.evaluation.validity.overfitting import backtest_overfitting
from alphaloom.evaluation.validity.sharpe import deflated_sharpe
from alphaloom.evaluation.validity.superiority import superiority
from alphaloom.evaluation.validity.trials import Trials
from alphaloom.report.verdict import grade_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("horizon", [1, 5, 10])
def test_a_slow_signal_without_skill_is_rarely_found_good(horizon):
    """At 5 % each shown test rejects in at most 10 % of samples, a verdict of evidence comes in at most 1 %."""
    rng = np.random.default_rng(horizon)
    rounds, rejected = 500, np.zeros(4)
    for k in range(rounds):
        test = mean_test(overlapping_ic(rng, 250, horizon, persistence=0.98), steps=horizon, resamples=200, seed=k)
        rejected += [
            test.p_newey_west < 0.05,
            test.p_non_overlapping < 0.05,
            test.low > 0 or test.high < 0,
            grade_of(test)[0] == "strong",
        ]
    assert (rejected[:3] / rounds).max() <= 0.1
    assert rejected[3] / rounds <= 0.01


def test_the_best_of_a_hundred_random_strategies_is_no_find():
    """Deflated Sharpe below 0.95 in 95 % of searches or more, though the best alone looks sure; PBO near a half."""
    below, naive, pbo, found = 0, 0, [], 0
    for seed in range(60):
        returns = 0.01 * np.random.default_rng([seed, 7]).standard_t(5, size=(500, 100))
        trials = Trials(returns, tuple(f"s{k}" for k in range(100)))
        best = deflated_sharpe(trials)
        below += best.deflated < 0.95
        naive += best.probabilistic > 0.95
        pbo.append(backtest_overfitting(trials, blocks=8).probability)
        found += superiority(trials, resamples=200, seed=seed).p_value < 0.05
    assert below >= 57
    assert naive == 60
    assert found <= 6
    assert abs(np.mean(pbo) - 0.5) < 0.08

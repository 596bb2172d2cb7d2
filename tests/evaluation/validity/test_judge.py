"""All corrections at once: each is the separate function's answer, and what cannot be computed is left out."""

import json

import numpy as np
import pytest

from alphaloom.errors import UnknownNameError
from alphaloom.evaluation.signal import plain
from alphaloom.evaluation.validity.intervals import bootstrap_interval, ratio
from alphaloom.evaluation.validity.judge import judge_trials
from alphaloom.evaluation.validity.overfitting import backtest_overfitting
from alphaloom.evaluation.validity.sharpe import deflated_sharpe
from alphaloom.evaluation.validity.superiority import superiority
from alphaloom.evaluation.validity.trials import Trials


def made(T: int, K: int) -> Trials:
    """Return trials of which the second is good."""
    x = 0.01 * np.random.default_rng(4).normal(size=(T, K))
    x[:, min(1, K - 1)] += 0.002
    return Trials(x, tuple(f"run-{k}" for k in range(K)))


def test_collects_the_pieces():
    """The best trial by name, its deflation, overfitting in 16 runs, superiority and intervals; plain data for JSON."""
    trials = made(500, 12)
    got = judge_trials(trials, resamples=200, seed=3)
    assert got.chosen == "run-1"
    assert got.sharpe == deflated_sharpe(trials)
    assert got.overfitting.probability == backtest_overfitting(trials, blocks=16).probability
    alone = superiority(trials, level=0.05, resamples=200, seed=3)
    assert (got.superiority.p_value, got.superiority.superior) == (alone.p_value, alone.superior)
    assert got.ratio == bootstrap_interval(trials.returns[:, 1], ratio, resamples=200, seed=3)
    data = json.loads(json.dumps(plain(got.metrics())))
    assert data["overfitting"]["halvings"] == 12870
    assert "run-1" in data["superiority"]["superior"]
    assert data["sharpe"]["trials"] == 12


def test_a_trial_may_be_chosen_that_is_not_the_best():
    """By its name; an unknown one is named with the nearest."""
    assert judge_trials(made(100, 5), "run-3", resamples=100).sharpe.best == 3
    with pytest.raises(UnknownNameError, match="run-33"):
        judge_trials(made(100, 5), "run-33")


def test_what_cannot_be_said_is_left_out():
    """One trial, few dates, a trial without any return: no overfitting, no superiority."""
    assert judge_trials(made(100, 1), resamples=100).overfitting is None
    assert judge_trials(made(60, 3), resamples=100).overfitting is None
    still = made(100, 3)
    still.returns[:, 2] = 0.0
    got = judge_trials(still, resamples=100)
    assert got.superiority is None
    assert got.metrics()["superiority"] is None
    assert got.overfitting is not None

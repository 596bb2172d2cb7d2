"""The daily RankIC, the boosting loop, and the two tree libraries behind it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import spearmanr

from alphaloom.errors import DataError, RunError
from alphaloom.losses.validation import DailyRankIC
from alphaloom.models.base import FitContext, Rows, boost, models

TREES = ["lightgbm", "xgboost"]


def daily_rows(sizes, F=5, seed=0, strength=1.0):
    """Return rows of days of these sizes, the label driven by the first two features."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    x = rng.standard_normal((n, F)).astype(np.float32)
    x[rng.random(x.shape) < 0.05] = np.nan
    y = strength * np.nan_to_num(x[:, 0]) * (np.nan_to_num(x[:, 1]) > 0) + rng.standard_normal(n)
    return Rows(x, y.astype(np.float32), np.concatenate([[0], np.cumsum(sizes)]))


NOTHING = Rows(np.empty((0, 5), np.float32), np.empty(0, np.float32), np.zeros(1, np.int64))
CONTEXT = FitContext(seed=3, threads=1, features=("a", "b", "c", "d", "e"))


def test_rank_ic_equals_scipy_day_by_day():
    """Spearman per day with tied scores and labels averaged; days under ten stocks do not count."""
    rng = np.random.default_rng(1)
    sizes = [30, 0, 9, 12, 50]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    label, score = rng.integers(0, 6, 101).astype(np.float32), rng.integers(0, 8, 101).astype(np.float32)
    watch = DailyRankIC(label, offsets)
    daily = watch.daily(score)
    for d, size in enumerate(sizes):
        part = slice(offsets[d], offsets[d + 1])
        if size < 10:
            assert np.isnan(daily[d])
        else:
            assert daily[d] == pytest.approx(spearmanr(score[part], label[part]).statistic, abs=1e-12)
    assert watch(score) == pytest.approx(np.nanmean(daily))
    assert watch.days == 3


def test_rank_ic_of_equal_scores_is_zero():
    """A day on which a model cannot tell the stocks apart counts as no skill, not as missing."""
    watch = DailyRankIC(np.arange(20, dtype=np.float32), np.array([0, 20]))
    assert watch(np.ones(20)) == 0.0


def test_boost_keeps_the_best_iteration():
    """The loop stops `patience` iterations after the best one and says how many to keep."""
    rows = daily_rows([20])
    level = iter([0.5, 0.2, 0.1, 0.3, 0.4, 0.0])
    state = {}

    def add_tree(k):
        state["score"] = rows.y + next(level)
        return False

    best, history = boost(
        6, 2, "loss", add_tree=add_tree, scores=lambda: (state["score"], state["score"]), train=rows, valid=rows
    )
    assert best == 3
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5]
    assert_allclose([record["valid_loss"] for record in history], [0.25, 0.04, 0.01, 0.09, 0.16], atol=1e-6)
    assert_allclose([record["valid_rank_ic"] for record in history], 1.0)


def test_boost_refuses_scores_that_are_not_finite():
    """A diverging booster is an error that names the iteration."""
    rows = daily_rows([20])
    with pytest.raises(RunError, match="diverged at iteration 1"):
        boost(3, 2, "loss", add_tree=lambda _: False, scores=lambda: (rows.y * np.inf, rows.y), train=rows, valid=rows)


@pytest.mark.parametrize("name", TREES)
def test_stopping_on_rank_ic_needs_a_day_of_ten(name):
    """RankIC stopping without a single usable validation day is refused with what to do."""
    model = models.parse({"name": name, "select_on": "rank_ic"})
    with pytest.raises(DataError, match="No validation day has 10 labelled stocks"):
        model.fit(daily_rows([60, 60]), daily_rows([5, 9]), CONTEXT)


@pytest.mark.parametrize("name", TREES)
def test_kept_trees_end_at_the_best_validation_measure(name):
    """The fitted object holds exactly the trees up to the best recorded measure, for either measure."""
    train, valid = daily_rows([200] * 5), daily_rows([100] * 3, seed=1)
    for select_on, pick in (("loss", "valid_loss"), ("rank_ic", "valid_rank_ic")):
        model = models.parse({"name": name, "select_on": select_on, "learning_rate": 0.3, "n_estimators": 60})
        fitted = model.fit(train, valid, CONTEXT)
        values = [record[pick] for record in fitted.history()]
        best = int(np.argmin(values) if select_on == "loss" else np.argmax(values))
        assert fitted.best_iteration() == best + 1
        assert len(values) in {best + 11, 60}
        loss = np.mean((fitted.predict(valid.x) - valid.y) ** 2)
        assert loss == pytest.approx(fitted.history()[best]["valid_loss"], rel=1e-5)


@pytest.mark.parametrize("name", TREES)
def test_without_validation_all_trees_are_grown(name):
    """No validation rows, or no early stopping, means `n_estimators` trees."""
    train = daily_rows([200] * 3)
    fitted = models.parse({"name": name, "n_estimators": 7}).fit(train, NOTHING, CONTEXT)
    assert fitted.best_iteration() == 7
    assert fitted.history()[-1]["valid_loss"] is None
    model = models.parse({"name": name, "n_estimators": 25, "early_stopping_rounds": 0, "learning_rate": 1.0})
    assert model.fit(train, daily_rows([50], seed=2), CONTEXT).best_iteration() == 25


@pytest.mark.parametrize("name", TREES)
def test_importance_is_the_gain_of_the_informative_features(name):
    """The two features behind the label carry most of the gain; unused ones have none."""
    fitted = models.parse(name).fit(daily_rows([400] * 5, strength=2.0), daily_rows([200], seed=1), CONTEXT)
    gain = fitted.importance()
    assert gain.shape == (5,)
    assert (gain >= 0).all()
    assert gain[:2].sum() > 0.9 * gain.sum()

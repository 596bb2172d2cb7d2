"""The daily RankIC, the boosting loop, and the tree libraries behind it."""

import importlib.util
import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import spearmanr

from alphaloom.errors import DataError, MissingLibraryError, RunError, SettingError
from alphaloom.losses.validation import DailyRankIC
from alphaloom.models.base import FitContext, Rows, SharedRows, models
from alphaloom.models.boosting import Boosted, DailyBoosted, boost, graded, mse_of, optional_library, standardised


def trees(*kinds, of=Boosted):
    """Return the tree models as test parameters, skipped with a reason where the library is not installed."""
    out = []
    for cls in models:
        if issubclass(cls, of):
            library = importlib.util.find_spec(cls.name)
            marks = [] if library else pytest.mark.skip(reason=f"{cls.name} is not installed")
            out += [pytest.param(cls.name, *kind, marks=marks) for kind in (kinds or [()])]
    return out


TREES = trees()
DAILY = trees(("ic",), ("rank_ic",), ("ndcg",), of=DailyBoosted)
RANKING = [*DAILY, *(case for case in trees(("demeaned_mse",), ("ndcg",)) if case.values[0] == "catboost")]


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
        models.parse({"name": "lightgbm", "n_estimators": 6, "early_stopping_rounds": 2}),
        add_tree=add_tree,
        scores=lambda: (state["score"], state["score"]),
        losses=(mse_of(rows), mse_of(rows)),
        valid=rows,
    )
    assert best == 3
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5]
    assert_allclose([record["valid_loss"] for record in history], [0.25, 0.04, 0.01, 0.09, 0.16], atol=1e-6)
    assert_allclose([record["valid_rank_ic"] for record in history], 1.0)


def test_boost_refuses_scores_that_are_not_finite():
    """A diverging booster is an error that names the iteration."""
    rows = daily_rows([20])
    with pytest.raises(RunError, match="diverged at iteration 1"):
        boost(
            models.parse("lightgbm"),
            add_tree=lambda _: False,
            scores=lambda: (rows.y * np.inf, rows.y),
            losses=(mse_of(rows), mse_of(rows)),
            valid=rows,
        )


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


def test_labels_are_standardised_and_graded_by_day():
    """Each day's labels get mean 0 and variance 1, or grades of equal size by rank; equal labels are all in one."""
    rows = Rows(np.empty((7, 1), np.float32), np.array([3, 1, 2, 4, 5, 5, 5], np.float32), np.array([0, 4, 4, 7]))
    assert_allclose(standardised(rows, np.array)[:4], (np.array([3, 1, 2, 4]) - 2.5) / np.sqrt(1.25))
    assert not standardised(rows, np.array)[4:].any()
    assert graded(rows, 2).tolist() == [1, 0, 0, 1, 1, 1, 1]
    assert graded(rows, 4).tolist()[:4] == [2, 0, 1, 3]


def mean_ic(score, rows, values=lambda v: v):
    """Return the mean over days of the correlation of scores and labels."""
    parts = [slice(a, b) for a, b in itertools.pairwise(rows.offsets)]
    return np.mean([np.corrcoef(values(score[p]), values(rows.y[p]))[0, 1] for p in parts])


@pytest.mark.parametrize(("name", "objective"), RANKING)
def test_losses_of_a_day_find_a_planted_signal(name, objective):
    """Out of sample each finds the signal nearly as well as squared error, though each day has a level of its own."""
    train, valid, test = (daily_rows([150] * days, seed=seed) for days, seed in ((20, 0), (6, 1), (10, 2)))
    plain = models.parse({"name": name, "n_estimators": 100, "learning_rate": 0.1})
    best = DailyRankIC(test.y, test.offsets)(plain.fit(train, valid, CONTEXT).predict(test.x))
    for rows in (train, valid):
        rows.y[:] += 5 * np.repeat(np.random.default_rng(3).standard_normal(rows.days), 150).astype(np.float32)
    model = models.parse({"name": name, "objective": objective, "n_estimators": 100, "learning_rate": 0.1})
    fitted = model.fit(train, valid, CONTEXT)
    score = fitted.predict(test.x)
    assert DailyRankIC(test.y, test.offsets)(score) > 0.8 * best
    assert_allclose(model.fit(train, valid, CONTEXT).predict(test.x), score, rtol=0, atol=0)
    values = [record["valid_loss"] for record in fitted.history()]
    assert fitted.best_iteration() == int(np.argmin(values)) + 1


@pytest.mark.parametrize(("name", "objective"), DAILY)
def test_the_curve_holds_the_loss_of_the_objective(name, objective):
    """`train_loss` and `valid_loss` are minus the daily IC, soft RankIC or NDCG of the scores after each tree."""
    train, valid = daily_rows([300] * 4), daily_rows([60] * 2, seed=1)
    model = models.parse({"name": name, "objective": objective, "n_estimators": 5, "early_stopping_rounds": 0})
    fitted = model.fit(train, valid, CONTEXT)
    last = fitted.history()[-1]
    for rows, found in ((train, last["train_loss"]), (valid, last["valid_loss"])):
        assert found == pytest.approx(model.daily_loss(rows)(fitted.predict(rows.x)), rel=1e-5)
    if objective == "ic":
        assert last["train_loss"] == pytest.approx(-mean_ic(fitted.predict(train.x), train), rel=1e-5)


@pytest.mark.parametrize(("name", "objective"), DAILY)
def test_the_first_tree_starts_from_zero(name, objective):
    """One tree's scores are centred, without the label's level, and lie along the label: zero is where they start."""
    train = daily_rows([300] * 4, strength=3.0)
    train.y[:] += 100
    fitted = models.parse({"name": name, "objective": objective, "n_estimators": 1}).fit(train, NOTHING, CONTEXT)
    score = fitted.predict(train.x)
    assert abs(score.mean()) < 0.1
    assert 0 < score.std() < 0.1
    assert mean_ic(score, train) > 0.2


@pytest.mark.parametrize("name", trees(of=DailyBoosted))
def test_ic_is_squared_error_on_residuals(name):
    """Trees on the bare correlation are trees on squared error of what the best line through the scores leaves."""
    train = daily_rows([200] * 3)
    bare = {"name": name, "n_estimators": 1, "learning_rate": 1.0}
    ic = {"objective": "ic", "softness": 1e-6}
    bare |= (
        {"bagging_fraction": 1.0, "feature_fraction": 1.0}
        if name == "lightgbm"
        else {"subsample": 1.0, "colsample_bytree": 1.0}
    )
    two = models.parse(bare | ic | {"n_estimators": 2}).fit(train, NOTHING, CONTEXT)
    one = models.parse(bare | ic).fit(train, NOTHING, CONTEXT)
    first = one.predict(train.x)
    left = np.empty(train.y.size, np.float32)
    for a, b in itertools.pairwise(train.offsets):
        z = (train.y[a:b] - train.y[a:b].mean()) / train.y[a:b].std()
        left[a:b] = z - np.polyval(np.polyfit(first[a:b], z, 1), first[a:b])
    residual = models.parse(bare).fit(Rows(train.x, left - left.mean(), train.offsets), NOTHING, CONTEXT)
    assert_allclose(two.predict(train.x) - first, residual.predict(train.x), atol=2e-3)


def test_trees_on_moving_labels_are_trees_on_the_gradient():
    """LightGBM gives the trees that it gives when handed gradients and Hessians; the labels of its data stay."""
    import lightgbm

    train = daily_rows([200] * 3)
    model = models.parse({"name": "lightgbm", "objective": "ic", "n_estimators": 6, "learning_rate": 0.3})
    assert model.bagging_fraction < 1
    assert model.feature_fraction < 1
    loss, parameters = model.daily_loss(train), model._parameters(CONTEXT)
    data = lightgbm.Dataset(train.x, train.y, params=parameters)
    handed = lightgbm.Booster(parameters, data)

    def gradients(score, _):
        loss(score)
        return loss.gradient, loss.hessian

    for _ in range(6):
        handed.update(fobj=gradients)
    assert (loss.hessian == 1).all()
    fitted = model.fit(train, NOTHING, CONTEXT)
    assert_allclose(fitted.predict(train.x), handed.predict(train.x), atol=1e-6)
    assert handed.predict(train.x).std() > 0.1


def test_data_shared_by_fits_keep_their_labels(tmp_path):
    """A fit by correlation leaves shared bins as it found them, also when it fails: later fits see the labels."""
    rows = daily_rows([200] * 3)
    shared = SharedRows(rows, np.arange(3), rows.y.size, tmp_path)
    part = shared.part(np.arange(3))
    plain = models.parse({"name": "lightgbm", "n_estimators": 4})
    before = plain.fit(part, NOTHING, CONTEXT).predict(rows.x)
    plain.model_copy(update={"objective": "ic"}).fit(part, NOTHING, CONTEXT)
    assert_allclose(plain.fit(part, NOTHING, CONTEXT).predict(rows.x), before, rtol=0, atol=0)


def test_days_that_teach_nothing_have_no_part_in_a_fit_by_correlation():
    """Rows of days with fewer than ten stocks change no tree, as if they were not there."""
    many, few = daily_rows([200] * 3), daily_rows([200] * 3 + [9, 9])
    model = models.parse({"name": "lightgbm", "objective": "ic", "n_estimators": 4, "bagging_fraction": 1.0})
    loss = model.daily_loss(few)
    loss(np.zeros(few.y.size))
    assert loss.hessian.tolist() == [1.0] * 600 + [0.0] * 18
    few.x[:600], few.y[:600], few.x[600:] = many.x, many.y, np.nan
    ours, theirs = (model.fit(rows, NOTHING, CONTEXT).predict(many.x) for rows in (few, many))
    assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(("name", "objective"), DAILY)
def test_a_loss_of_a_day_needs_a_day(name, objective):
    """Without a day of ten labelled stocks a loss of a day's cross-section is refused with what to do."""
    model = models.parse({"name": name, "objective": objective})
    with pytest.raises(DataError, match="has 10 stocks with labels that differ.* set objective to mse"):
        model.fit(daily_rows([9, 5]), NOTHING, CONTEXT)


def test_an_unknown_objective_is_refused():
    """An objective that a library does not have is an error in the settings."""
    with pytest.raises(SettingError, match="objective"):
        models.parse({"name": "catboost", "objective": "ic"})


def test_a_missing_library_is_named():
    """A model whose library is not installed says so, and how to install it."""
    with pytest.raises(MissingLibraryError, match="The model x needs a library that is not installed: pip install y"):
        optional_library("no_such_module", "x", "pip install y")

"""Candidates against the same thing done plainly."""

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import spearmanr
from tuned import cut, make_experiment, make_inputs

from alphaloom.executors.storage import FolderStorage
from alphaloom.models.base import FitContext, models
from alphaloom.training.fit import fit_model
from alphaloom.training.inputs import Given
from alphaloom.training.shared_rows import shared_rows
from alphaloom.training.tuning.folds import time_series_folds
from alphaloom.training.tuning.trial import Candidate, _is_hopeless, measure, read_candidate, run_candidate


def candidate(inputs, windows, name, folds=3, **settings):
    """Return a candidate of the second window."""
    model = make_experiment(inputs, (name,), spaces={name: {"x": [1]}}, preset=None).models[name]
    parts = time_series_folds(windows[1], inputs.rows, inputs.ends, folds, valid_share=0.4, embargo=0)
    given = {"objective": "rank_ic", "pruner": "none", "earlier": (), **settings}
    span = (int(windows[0].train[0]), int(windows[-1].fit_rows[-1]))
    edges = int(windows[0].fit_rows[-1])
    return Candidate(name, model, tuple(parts), span, edges, seed=3, threads=1, folder="w/m", **given)


def plainly(inputs, item):
    """Return the daily objective of each fold, by fits that share nothing."""
    out = []
    whole = inputs.samples(type(item.folds[0])("w", inputs.rows, inputs.rows[:0], inputs.rows[:0], 0), 9)
    context = FitContext(seed=3, threads=1, features=inputs.features)
    for fold in item.folds:
        fitted = fit_model(item.model, whole.of(fold.train), whole.of(fold.valid), context=context)
        scores, label = fitted.predict(whole.of(fold.test)), inputs.label[fold.test]
        days = []
        for s, y in zip(scores, label, strict=True):
            known = ~np.isnan(s) & ~np.isnan(y)
            days.append(
                spearmanr(s[known], y[known])[0] if item.objective == "rank_ic" else np.mean((s - y)[known] ** 2)
            )
        out.append(days)
    return out


@pytest.mark.parametrize("objective", ["rank_ic", "mse"])
@pytest.mark.parametrize("name", ["ridge", "xgboost", "gru"])
def test_folds_are_fitted_and_scored_as_plain_fits(name, objective, tmp_path):
    """Shared rows, mapped files and kept forms change nothing."""
    inputs = make_inputs()
    item = candidate(inputs, cut(inputs), name, objective=objective)
    record = run_candidate(Given(inputs), FolderStorage(tmp_path), item)
    expected = plainly(inputs, item)
    assert record["state"] == "complete"
    for mine, theirs in zip(record["daily"], expected, strict=True):
        assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    assert_allclose(record["values"], [np.mean(days) for days in expected], rtol=1e-5)


def test_shared_bins_are_those_of_the_first_window(tmp_path):
    """LightGBM's trees on a part of the shared bins are those on the same rows binned by the first window's edges."""
    inputs = make_inputs()
    windows = cut(inputs)
    item = candidate(inputs, windows, "lightgbm")
    shared = shared_rows(Given(inputs), FolderStorage(tmp_path), item.span, item.edges, ())
    model, context = item.model, FitContext(seed=3, threads=1, features=inputs.features)
    parameters = model._parameters(context)
    first = lightgbm.Dataset(shared.rows.x[: shared.edges], shared.rows.y[: shared.edges], params=parameters)
    for fold in item.folds[1:]:
        train = shared.part(fold.train)
        plain = lightgbm.Dataset(np.array(train.x), np.array(train.y), reference=first, params=parameters)
        booster = lightgbm.Booster(parameters, plain)
        for _ in range(model.n_estimators):
            booster.update()
        mine = model.fit(train, shared.part(fold.valid[:0]), context)
        x = shared.rows.x[:200]
        assert_allclose(mine.predict(x), booster.predict(x), atol=1e-12)
    assert len(list(tmp_path.rglob("lightgbm-*.bin"))) == 1


def test_edges_end_with_the_first_window():
    """No row of a later date has a say in the bins."""
    inputs = make_inputs()
    windows = cut(inputs)
    assert candidate(inputs, windows, "lightgbm").edges < windows[0].test[0]


def test_a_hopeless_candidate_is_given_up(tmp_path):
    """After the folds that show it, against a better one before it, and with the record of what was seen."""
    inputs = make_inputs()
    for pruner, seen in (("median", 3), ("wilcoxon", 4)):
        far = tuple(tuple(0.8 + 0.01 * k + 0.001 * fold for fold in range(8)) for k in range(6))
        item = candidate(inputs, cut(inputs), "ridge", folds=8, pruner=pruner, earlier=far)
        record = run_candidate(Given(inputs), FolderStorage(tmp_path), item)
        assert record["state"] == "pruned"
        assert len(record["values"]) == seen
        near = tuple(tuple(value - 0.001 * fold for fold in range(8)) for value in (-0.9, -0.8, -0.7, -0.6, -0.5))
        item = candidate(inputs, cut(inputs), "ridge", folds=8, pruner=pruner, earlier=near)
        assert run_candidate(Given(inputs), FolderStorage(tmp_path), item)["state"] == "complete"


def test_folds_with_other_training_dates_have_rows_of_their_own(tmp_path):
    """Candidates of one process that share tested dates alone, as with another embargo, share no rows."""
    inputs = make_inputs()
    item = candidate(inputs, cut(inputs), "xgboost")
    run_candidate(Given(inputs), FolderStorage(tmp_path), item)
    shorter = replace(item, folds=tuple(replace(fold, train=fold.train[: fold.train.size // 2]) for fold in item.folds))
    record = run_candidate(Given(inputs), FolderStorage(tmp_path), shorter)
    for mine, theirs in zip(record["daily"], plainly(inputs, shorter), strict=True):
        assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_one_easy_fold_shields_nobody_from_the_median():
    """Means over the same folds are compared, whatever a single one was."""
    inputs = make_inputs()
    six = ((0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5),) * 6
    item = candidate(inputs, cut(inputs), "ridge", folds=8, pruner="median", earlier=six)
    assert _is_hopeless(item, [0.95, 0.1, 0.1])
    assert not _is_hopeless(item, [0.2, 0.9, 0.9])


def test_a_late_candidate_ends_with_its_fold(tmp_path):
    """Its search's time is over: the folds so far count, and with more time it is fitted anew, to its end."""
    inputs, storage = make_inputs(), FolderStorage(tmp_path)
    item = candidate(inputs, cut(inputs), "ridge")
    late = run_candidate(Given(inputs), storage, replace(item, seconds=0.0))
    assert (late["state"], len(late["values"])) == ("late", 1)
    assert read_candidate(storage, item.folder, item.key(inputs)) is None
    whole = run_candidate(Given(inputs), storage, replace(item, seconds=3600.0))
    assert (whole["state"], len(whole["values"])) == ("complete", len(item.folds))
    assert whole["values"][0] == late["values"][0]
    assert read_candidate(storage, item.folder, replace(item, seconds=None).key(inputs)) == whole


def test_dates_without_a_choice():
    """Equal scores rank nothing; dates without labels count for neither."""
    scores = np.array([[1, 1, 1], [1, 2, 3], [1, 2, 3]], dtype=np.float32)
    label = np.array([[1, 2, 3], [1, 2, 3], [np.nan, np.nan, 1]], dtype=np.float32)
    assert measure(scores, label, "rank_ic", "x").tolist() == pytest.approx([0, 1])
    assert measure(scores, label, "mse", "x").tolist() == pytest.approx([5 / 3, 0])
    assert models.parse("ridge")

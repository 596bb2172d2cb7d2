"""Ensembles: the arithmetic by hand, weights, windows, and no knowledge of later windows."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from panels import business_days
from scipy.stats import rankdata

from alphaloom.errors import DataError, SettingError
from alphaloom.models.base import models
from alphaloom.panel import Panel
from alphaloom.recipe import Recipe
from alphaloom.training.ensemble import EnsembleSettings, blend, combine, ensemble_scores, model_weights
from alphaloom.training.inputs import Inputs
from alphaloom.training.rolling import Experiment, run_rolling, window_scores
from alphaloom.training.splits import Calendar
from alphaloom.transforms.base import transforms

T, N, F = 260, 30, 4


def experiment(seed=0):
    """Return a year of daily samples of three models, one of them after a transform fitted on each window."""
    rng = np.random.default_rng(seed)
    block = rng.standard_normal((T, N, F)).astype(np.float32)
    label = (0.4 * block[:, :, 0] - 0.2 * block[:, :, 1] + rng.standard_normal((T, N))).astype(np.float32)
    block[rng.random(block.shape) < 0.02] = np.nan
    panel = Panel(business_days(T), np.array([f"S{n:02d}" for n in range(N)]), rng.random((T, N)) < 0.95, {})
    chosen = {
        "ridge": models.parse("ridge"),
        "ridge-2": models.parse({"name": "ridge", "penalty": 100.0}),
        "lightgbm": models.parse({"name": "lightgbm", "n_estimators": 15, "min_data_in_leaf": 20}),
    }
    chain = (transforms.parse("robust_zscore"),)
    ends = np.minimum(np.arange(T) + 2, T - 1)
    inputs = Inputs(panel, tuple("abcd"), block, label, chain, np.arange(T), ends, key="k")
    return Experiment(inputs, chosen, repeats=2, seed=1)


def cut(made):
    """Return windows of three months of training and two of testing."""
    rows = np.arange(T)
    split = Calendar(train_months=3, test_months=2, valid_share=0.3)
    return split.windows(made.inputs.panel.dates, rows, np.minimum(rows + 2, T - 1))


def score(made, folder, **settings):
    """Return the ensemble's scores after a run."""
    cuts = cut(made)
    trained = run_rolling(made, cuts, folder, threads=1)
    return ensemble_scores(made, cuts, trained, folder, EnsembleSettings(**settings), threads=1)


def day(values):
    """Return one day of scores."""
    return np.array([values], dtype=np.float32)


@pytest.mark.parametrize("weights", [None, [0.5, 0.3, 0.2]])
@pytest.mark.parametrize("method", ["rank_mean", "zscore_mean", "mean", "median"])
def test_scores_are_combined_stock_by_stock(method, weights):
    """Each method equals its definition on the stocks that all of them score; the others have no score."""
    rng = np.random.default_rng(0)
    scores = [np.round(rng.standard_normal((5, 12)), 1).astype(np.float32) for _ in range(3)]
    scores[0][2, 3] = scores[1][2, 4] = np.nan
    scores[2][4] = np.nan
    if method == "median" and weights:
        return
    got = combine(scores, method, weights)
    for d in range(5):
        parts = []
        for s in (item[d].astype(float) for item in scores):
            known = s[~np.isnan(s)]
            out = s.copy()
            if method == "rank_mean" and known.size:
                out[~np.isnan(s)] = rankdata(known) / known.size
            if method == "zscore_mean" and known.size:
                out = (s - known.mean()) / known.std()
            parts.append(out)
        expected = np.median(parts, axis=0) if method == "median" else np.average(parts, axis=0, weights=weights)
        assert_allclose(got[d], expected, atol=1e-6)


def test_equal_scores_and_weights_of_zero():
    """A day of equal scores has z-scores of 0; a score of weight 0 has no say, not even where it is missing."""
    assert_array_equal(combine([day([3, 3, 3]), day([1, 2, 3])], "zscore_mean", [1, 0]), day([0, 0, 0]))
    assert_array_equal(combine([day([1, 2]), day([np.nan, 5])], "mean", [1, 0]), day([1, 2]))
    assert np.isnan(combine([day([1, 2]), day([np.nan, 5])], "mean")[0, 0])


def test_one_model_of_one_window_keeps_its_scores():
    """Alone a model's scores stay as they are; over windows, and among models, they are combined."""
    settings = EnsembleSettings()
    assert blend(settings, {"ridge": [day([5, 7])]}, {"ridge": 1.0})["ridge"].tolist() == [[5, 7]]
    assert blend(settings, {"ridge": [day([5, 7]), day([9, 8])]}, {"ridge": 1.0})["ridge"].tolist() == [[0.75, 0.75]]
    both = blend(settings, {"a": [day([1, 2])], "b": [day([5, 4])]}, {"a": 0.75, "b": 0.25})
    assert list(both) == ["ensemble", "a", "b"]
    assert_allclose(both["ensemble"], day([0.75 * 0.5 + 0.25, 0.75 + 0.25 * 0.5]))


def test_weights_are_what_the_validation_dates_say():
    """`icir` weighs by the mean ICIR of a model's fits, none below 0; all below is equal; too few dates are refused."""
    icir = EnsembleSettings(weights="icir")
    fits = [{"model": m, "valid_icir": v} for m, v in (("a", 0.2), ("a", 0.4), ("b", 0.1), ("c", -0.5))]
    assert model_weights(icir, ["a", "b", "c"], fits, "w") == pytest.approx({"a": 0.75, "b": 0.25, "c": 0.0})
    assert model_weights(icir, ["c", "d"], [*fits, {"model": "d", "valid_icir": -1.0}], "w") == {"c": 0.5, "d": 0.5}
    assert model_weights(EnsembleSettings(weights={"a": 3, "b": 1}), ["a", "b"], [], "w") == {"a": 0.75, "b": 0.25}
    with pytest.raises(DataError, match="Window w: d has no ICIR to be weighed by.*valid_share"):
        model_weights(icir, ["a", "d"], [*fits, {"model": "d", "valid_icir": None}], "w")


@pytest.mark.parametrize(
    ("ensemble", "message"),
    [
        ({"weights": {"ridge": 1, "gru": 1}}, "must name every model and no other: given ridge, gru; the models are"),
        ({"weights": {"ridge": 0, "lightgbm": 0}}, "at least one must be above 0"),
        ({"weights": {"ridge": -1, "lightgbm": 1}}, "greater than or equal to 0"),
        ({"weights": "icir"}, "icir needs validation dates; raise windows.valid_share"),
        ({"weights": {"ridge": 1, "lightgbm": 1}, "method": "median"}, "a median takes no weights"),
        ({"windows": 0}, "greater than or equal to 1"),
        ({"methd": "mean"}, "Did you mean 'method'"),
    ],
)
def test_impossible_ensembles_are_refused(ensemble, message):
    """Wrong weights, names and numbers are errors in the recipe, before any work."""
    recipe = {"name": "x", "features": ["alpha158"], "label": "forward_return", "models": ["ridge", "lightgbm"]}
    with pytest.raises(SettingError, match=message):
        Recipe.parse(recipe | {"windows": {"valid_share": 0}, "ensemble": ensemble})


def test_windows_are_averaged_by_hand(tmp_path):
    """A test date's score is the mean rank over the fits of its own window and the ones before, as far as there are."""
    made = experiment()
    windows = cut(made)
    assert len(windows) > 3
    got, several = score(made, tmp_path), score(made, tmp_path, windows=3)
    for k, window in enumerate(windows):
        for name in made.models:
            homes = [tmp_path / item.name for item in windows[max(0, k - 2) : k + 1]]
            each = [
                window_scores(
                    made.inputs.panel,
                    made.inputs.block,
                    window.test,
                    made.inputs.transforms,
                    home,
                    list(made.models),
                    2,
                    threads=1,
                )[name]
                for home in homes
            ]
            assert_allclose(each[-1], got[name][window.test], atol=1e-6)
            expected = each[0] if k == 0 else combine(each)
            assert_allclose(several[name][window.test], expected, atol=1e-6)


def test_fits_precede_what_they_score(tmp_path):
    """No fit of a window in use was trained or validated on a date whose label reaches the dates it scores."""
    windows = cut(experiment())
    for k, window in enumerate(windows):
        for earlier in windows[: k + 1]:
            assert earlier.fit_rows.max() + 2 < window.test[0]


@pytest.mark.parametrize("settings", [{"windows": 3, "weights": "icir"}, {"windows": 2, "method": "zscore_mean"}])
def test_later_windows_change_no_earlier_score(settings, tmp_path):
    """Spoiling features, members and labels that end in a test window or later changes no score before it."""
    made = experiment()
    start = cut(made)[2].test[0]
    block, label, member = made.inputs.block.copy(), made.inputs.label.copy(), made.inputs.panel.universe.copy()
    block[start:], member[start:, ::2] = 50 * block[start:], ~member[start:, ::2]
    label[start - 2 :] *= -1  # each label reads two rows ahead
    panel = replace(made.inputs.panel, universe=member)
    spoilt = replace(made, inputs=replace(made.inputs, block=block, label=label, panel=panel, key="spoilt"))
    before = score(made, tmp_path / "a", **settings)
    after = score(spoilt, tmp_path / "b", **settings)
    for name in ("ensemble", *made.models):
        assert_array_equal(before[name][:start], after[name][:start])
        assert not np.array_equal(before[name][start:], after[name][start:], equal_nan=True)


def test_icir_is_that_of_the_validation_dates(tmp_path):
    """The table of fits holds mean over deviation of the daily RankIC on the validation dates alone."""
    from scipy.stats import spearmanr

    made = experiment()
    windows = cut(made)
    table = run_rolling(made, windows, tmp_path, threads=1).windows
    first = table.row(0, named=True)
    scores = window_scores(
        made.inputs.panel,
        made.inputs.block,
        windows[0].valid,
        made.inputs.transforms,
        tmp_path / windows[0].name,
        ["ridge"],
        1,
        threads=1,
    )["ridge"]
    daily = []
    for s, y in zip(scores, made.inputs.label[windows[0].valid], strict=True):
        keep = ~np.isnan(s)
        daily.append(spearmanr(s[keep], y[keep]).statistic)
    assert first["model"] == "ridge"
    assert first["valid_icir"] == pytest.approx(np.mean(daily) / np.std(daily, ddof=1), rel=1e-4)

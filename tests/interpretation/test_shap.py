"""SHAP values of trees against the shap package, and on a signal whose truth is known."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from subjects import framed, quiet, subject

from alphaloom.errors import UsageError
from alphaloom.interpretation.shap import Shap, contributor

TREES = [
    {"name": "lightgbm", "n_estimators": 40, "min_data_in_leaf": 20},
    {"name": "xgboost", "n_estimators": 40, "min_child_weight": 20},
]


def rows(given):
    """Return the rows of the first test day; some values are missing."""
    return np.ascontiguousarray(given.samples.block[given.samples.rows[0]][given.samples.scorable()[0]])


@pytest.mark.parametrize("settings", TREES)
def test_equal_to_tree_explainer(settings):
    """The shap package's own TreeExplainer gives the same values and the same base."""
    if settings["name"] == "xgboost":
        pytest.importorskip("xgboost")
    shap = pytest.importorskip("shap")
    given = subject(settings, D=80)
    body, x = given.fits[0].body, rows(given)
    explainer = shap.TreeExplainer(body.__dict__["_booster"])
    found = contributor(body)(x)
    tolerance = 1e-9 if settings["name"] == "lightgbm" else 2e-6
    assert_allclose(found[:, :-1], explainer.shap_values(x), atol=tolerance)
    assert_allclose(found[:, -1], np.full(len(x), explainer.expected_value), atol=tolerance)


@pytest.mark.parametrize("settings", TREES)
def test_values_and_base_sum_to_the_score(settings):
    """Local additivity, row by row; the largest difference is reported."""
    if settings["name"] == "xgboost":
        pytest.importorskip("xgboost")
    given = subject(settings, D=80, repeats=2)
    x = rows(given)
    for fit in given.fits:
        assert_allclose(contributor(fit.body)(x).sum(axis=1), fit.body.predict(x), atol=1e-5)
    assert Shap().explain(given, quiet)["shap"]["residual"].max() < 1e-5


def test_planted_features_come_first_with_their_sign():
    """The signal f0 - 0.7 f1 + 0.5 f2 is seen in size and direction."""
    summary = Shap().summary(framed(Shap(), subject(TREES[0], D=160)))
    assert summary["feature"][:3].to_list() == ["f0", "f1", "f2"]
    direction = dict(summary.select("feature", "direction").iter_rows())
    assert direction["f0"] > 0.8
    assert direction["f1"] < -0.8
    assert direction["f2"] > 0.8
    assert summary["share"].sum() == pytest.approx(1)


def test_the_daily_figures_are_those_of_a_plain_loop():
    """Mean |value| and the correlation of values with ranks, feature by feature."""
    from scipy.stats import rankdata

    given = subject(TREES[0], D=60)
    daily = Shap(stocks=None).explain(given, quiet)["shap"].filter(date=given.dates[0].item())
    x = rows(given)
    values = contributor(given.fits[0].body)(x)[:, :-1]
    assert_allclose(daily["mean_abs"], np.abs(values).mean(axis=0), atol=1e-12)
    for f, found in enumerate(daily["direction"]):
        known = ~np.isnan(x[:, f])
        expected = np.corrcoef(values[known, f], rankdata(x[known, f]))[0, 1]
        assert found == pytest.approx(expected, abs=1e-6)


def test_points_are_as_many_as_asked_for():
    """Single values of `points` stock-days, each with its place among the day's stocks."""
    points = Shap(points=50).explain(subject(TREES[0], D=80), quiet)["shap_points"]
    assert points.filter(feature="f0").height == 50
    assert points["place"].drop_nulls().is_between(0, 1).all()


def test_other_models_are_refused():
    """A linear model or a network is no tree model; CatBoost's trees are, and the reason says what is the case."""
    trees = subject({"name": "catboost", "n_estimators": 2}, D=40)
    assert Shap().lacking(trees.fits[0]) == "SHAP values of catboost are not computed here"
    given = subject({"name": "ridge"}, D=40)
    assert "no tree model" in Shap().lacking(given.fits[0])
    with pytest.raises(UsageError, match="no SHAP values"):
        contributor(given.fits[0].body)

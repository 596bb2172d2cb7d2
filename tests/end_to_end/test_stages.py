"""Stages by themselves: sample dates, what is refused before training, and when stored fits are used."""

import json

import numpy as np
import pytest

from alphaloom import pipeline, stages
from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.errors import SettingError, UnknownNameError, UsageError
from alphaloom.recipe import Recipe

BASE = {
    "name": "stages",
    "features": ["alpha158"],
    "transforms": ["zscore", "fill"],
    "universe": ["not_suspended"],
    "label": "forward_return",
    "models": ["ridge"],
    "windows": {"train_months": 9, "test_months": 6},
    "evaluation": {"resamples": 100, "min_names": 10},
}


def sample_dates(store, **changes):
    """Return the sample dates that a recipe comes to."""
    recipe = Recipe.parse(BASE | {"data": {"start": "2016-06-01"}} | changes)
    market, _ = build_universe(recipe.universe, stages.load_market(recipe, store))
    prepared = stages.prepare(recipe, market, threads=1)
    return prepared.market.dates[prepared.rows]


@pytest.mark.parametrize("schedule", ["every 7", "weekly", "monthly"])
def test_sample_dates_do_not_depend_on_the_models(market, schedule):
    """A model that looks further back moves no sample date of any schedule."""
    store = Store(market)
    alone = sample_dates(store, schedule=schedule)
    beside = sample_dates(store, schedule=schedule, models=["ridge", {"name": "gru", "steps": 4, "stride": 3}])
    np.testing.assert_array_equal(alone, beside)
    assert alone[0] >= np.datetime64("2016-06-01")


@pytest.mark.parametrize(
    ("rules", "error", "words"),
    [("us", SettingError, "store holds market 'china'"), ("chnia", UnknownNameError, "Did you mean 'china'")],
)
def test_wrong_market_rules_are_refused_before_training(market, tmp_path, rules, error, words):
    """Rules of another market, or of none, stop a run before any fit; nothing is written."""
    recipe = Recipe.parse(BASE | {"portfolios": ["topk"], "backtest": {"market": rules}})
    with pytest.raises(error, match=words):
        pipeline.run(recipe, Store(market), tmp_path / "out", threads=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"portfolios": ["long_short"]}, "'long_short' sells short; set backtest.short_selling"),
        ({"portfolios": ["topk"], "backtest": {"commission": 0.01}}, r"commission is 0\.01; market 'china' allows"),
    ],
)
def test_what_the_market_forbids_is_refused_before_training(market, changes, words):
    """Short positions without short selling, and a commission above the cap, stop a run before any fit."""
    store, recipe = Store(market), Recipe.parse(BASE | changes)
    with pytest.raises(SettingError, match=words):
        stages.check_trading(recipe, store, stages.load_market(recipe, store))


def test_fits_of_other_code_are_not_reused(market, tmp_path, monkeypatch):
    """Fits of this code are reused; those of another version are fitted anew, and not by a mere report."""
    recipe, store, out = Recipe.parse(BASE), Store(market), tmp_path / "out"
    pipeline.run(recipe, store, out, threads=1)
    windows = len(json.loads((out / "metrics.json").read_text())["windows"])
    assert pipeline.run(recipe, store, out, threads=1, train=False).reused == windows
    monkeypatch.setattr(stages, "code_hash", lambda *_: "other")
    with pytest.raises(UsageError, match="another version of the code"):
        pipeline.run(recipe, store, out, threads=1, train=False)
    assert json.loads((out / "run.json").read_text())["status"] == "done"
    assert pipeline.run(recipe, store, out, threads=1).reused == 0


def test_benchmark_weights_are_those_of_the_recipes_dates(market):
    """Weights begin on the recipe's first date, whatever the store holds before, and how they came about is counted."""
    store = Store(market)
    recipe = Recipe.parse(BASE | {"data": {"start": "2016-06-01"}, "risk": {"benchmark": "SH000300"}})
    panel, _ = build_universe(recipe.universe, stages.load_market(recipe, store))
    first = panel.span("2016-06-01")[0]
    risk = stages.risk_inputs(recipe, panel)
    assert not risk.benchmark[:first].any()
    np.testing.assert_allclose(risk.benchmark[first:].sum(axis=1), 1.0)
    assert risk.methods["published"] == panel.dates.size - first
    assert stages.provenance(recipe, store, "", risk, 0.0, 0)["benchmark_weights"] == risk.methods


@pytest.mark.parametrize("family", ["calendar", "alpha158"])
def test_a_label_that_looks_back_gets_its_history(market, family):
    """From the recipe's start on, a label is what it is over all of the store, whatever the features look back on."""
    store = Store(market)
    label = {"name": "residual_return", "horizon": 5, "styles": ["size", "liquidity"]}
    recipe = Recipe.parse(BASE | {"data": {"start": "2017-03-01"}, "features": [family], "label": label})
    whole, _ = build_universe(recipe.universe, stages.load_market(recipe, store))
    made = stages.prepare(recipe, whole, threads=1)
    start = whole.span("2017-03-01")[0]
    assert start - made.first >= recipe.label.lookback == 251
    assert start <= made.rows[0] + made.first < start + 5  # samples are weekly
    expected = recipe.label.compute(whole)[start:, made.columns]
    assert np.isfinite(expected[0]).any()
    np.testing.assert_allclose(made.label[start - made.first :], expected, atol=1e-6)

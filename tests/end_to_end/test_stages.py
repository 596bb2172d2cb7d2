"""Stages by themselves: sample dates, what is refused before training, and when stored fits are used."""

import json

import numpy as np
import polars as pl
import pytest

from alphaloom import pipeline, preparation, stages
from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.errors import DataError, SettingError, UnknownNameError, UsageError
from alphaloom.recipe import Recipe
from alphaloom.risk_inputs import risk_inputs
from alphaloom.serving import predict

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
    market, _ = build_universe(recipe.universe, preparation.load_market(recipe, store))
    prepared = preparation.prepare(recipe, market, threads=1)
    return prepared.market.dates[prepared.rows]


@pytest.mark.parametrize("schedule", ["every 7", "weekly", "monthly"])
def test_sample_dates_do_not_depend_on_the_models(market, schedule):
    """A model that looks further back moves no sample date of any schedule."""
    store = Store(market)
    alone = sample_dates(store, schedule=schedule)
    beside = sample_dates(store, schedule=schedule, models=["ridge", {"name": "gru", "steps": 4, "stride": 3}])
    np.testing.assert_array_equal(alone, beside)
    assert alone[0] >= np.datetime64("2016-06-01")


def test_portfolios_are_decided_on_every_so_many_th_tested_date(market):
    """`rebalance` counts from the first tested date; scores in between are not traded."""
    store = Store(market)
    recipe = Recipe.parse(BASE | {"portfolios": ["topk"], "rebalance": 3})
    panel, _ = build_universe(recipe.universe, preparation.load_market(recipe, store))
    score = np.full(panel.shape, np.nan, dtype=np.float32)
    tested = np.arange(300, 360, 5)
    score[tested] = np.random.default_rng(0).normal(size=(tested.size, panel.shape[1]))
    targets, results, notes = stages.trade(recipe, store, panel, score, risk_inputs(recipe.risk, panel), 370)
    decided = panel.dates[tested[::3]].tolist()
    assert notes["topk"]["date"].to_list() == decided
    weights = targets["topk"]["weight"]
    assert panel.dates[np.flatnonzero(~np.isnan(weights).all(axis=1))].tolist() == decided
    assert results["topk"].metrics["decisions"] == len(decided)


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
        stages.check_trading(recipe, store, preparation.load_market(recipe, store))


def test_features_larger_than_the_memory_are_refused_before_computing(market, tmp_path, monkeypatch):
    """What the features would take is told, and what the machine has; nothing is computed or written."""
    monkeypatch.setattr(preparation, "memory_gb", lambda: 0.01)
    monkeypatch.setattr(preparation, "compute_block", lambda *_, **__: pytest.fail("computed"))
    with pytest.raises(DataError, match=r"GB of memory \(\d+ dates x \d+ stocks x 158 features.*data\.start later"):
        pipeline.run(Recipe.parse(BASE), Store(market), tmp_path / "out", threads=1)
    assert not (tmp_path / "out").exists()


FORECAST = {
    "name": "optimise",
    "alpha": "volatility",
    "risk_aversion": 5,
    "constraints": [{"name": "cap", "num_stock": 10}],
}


def test_portfolios_may_forecast_their_variance(market, tmp_path):
    """With a risk model in the recipe, decisions tell the volatility foreseen; predicting a date uses it too."""
    recipe = Recipe.parse(
        BASE | {"portfolios": [FORECAST], "risk": {"model": {"name": "pca", "window": 60, "factors": 5}}}
    )
    pipeline.run(recipe, Store(market), tmp_path / "out", threads=1)
    notes = pl.read_parquet(tmp_path / "out" / "decisions-optimise.parquet")
    assert notes["volatility_annual"].is_between(0.02, 1).all()
    last = str(notes["date"][-1])
    _, weights = predict(tmp_path / "out", Store(market), last)
    run = pl.read_parquet(tmp_path / "out" / "weights.parquet").filter(pl.col("date") == notes["date"][-1])
    assert dict(weights.filter(pl.col("weight") > 0).select("symbol", "weight").iter_rows()) == pytest.approx(
        dict(run.select("symbol", "weight").iter_rows()), abs=1e-4
    )


@pytest.mark.parametrize(
    ("risk", "error", "words"),
    [
        ({}, SettingError, "risk.model is empty"),
        ({"model": {"name": "pca", "window": 400}}, DataError, "400"),
    ],
)
def test_a_forecast_that_cannot_be_made_is_refused_before_training(market, tmp_path, risk, error, words):
    """No risk model, or one with too little history at the first decision; nothing is written."""
    data = BASE | {"portfolios": [FORECAST], "risk": risk}
    with pytest.raises(error, match=words):
        pipeline.run(Recipe.parse(data), Store(market), tmp_path / "out", threads=1)
    assert not (tmp_path / "out").exists()


def test_fits_of_other_code_are_not_reused(market, tmp_path, monkeypatch):
    """Fits of this code are reused; those of another version are fitted anew, and not by a mere report."""
    recipe, store, out = Recipe.parse(BASE), Store(market), tmp_path / "out"
    pipeline.run(recipe, store, out, threads=1)
    windows = len(json.loads((out / "metrics.json").read_text())["windows"])
    assert pipeline.run(recipe, store, out, threads=1, train=False).reused == windows
    monkeypatch.setattr(preparation, "code_hash", lambda *_: "other")
    with pytest.raises(UsageError, match="another version of the code"):
        pipeline.run(recipe, store, out, threads=1, train=False)
    assert json.loads((out / "run.json").read_text())["status"] == "done"
    assert pipeline.run(recipe, store, out, threads=1).reused == 0


def test_benchmark_weights_are_those_of_the_recipes_dates(market):
    """Weights begin on the recipe's first date, whatever the store holds before, and how they came about is counted."""
    store = Store(market)
    recipe = Recipe.parse(BASE | {"data": {"start": "2016-06-01"}, "risk": {"benchmark": "SH000300"}})
    panel, _ = build_universe(recipe.universe, preparation.load_market(recipe, store))
    first = panel.span("2016-06-01")[0]
    risk = risk_inputs(recipe.risk, panel, first=panel.span(recipe.data.start)[0])
    assert not risk.benchmark[:first].any()
    np.testing.assert_allclose(risk.benchmark[first:].sum(axis=1), 1.0)
    assert risk.methods["published"] == panel.dates.size - first
    assert stages.provenance(recipe, store, "", risk, 0.0, 0)["benchmark_weights"] == risk.methods


def test_a_label_that_looks_back_gets_its_history(market):
    """Rows before the recipe's start are there for the label's exposures; sample dates and later values stay."""
    store = Store(market)
    label = {"name": "residual_return", "horizon": 5, "styles": ["size", "liquidity"]}
    made, labels = {}, {}
    for name, features in (("near", "calendar"), ("far", "alpha158")):
        recipe = Recipe.parse(BASE | {"data": {"start": "2017-03-01"}, "features": [features], "label": label})
        whole, _ = build_universe(recipe.universe, preparation.load_market(recipe, store))
        made[name] = preparation.prepare(recipe, whole, threads=1)
        begin = whole.span("2017-03-01")[0] - made[name].first
        assert begin >= recipe.label.lookback == 251
        labels[name] = made[name].label[begin:]
    np.testing.assert_array_equal(labels["near"], labels["far"])
    assert np.isfinite(made["near"].label[made["near"].rows[0]]).any()

"""Losses and stopping rules that read more than features and labels, through the stages of a run."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from alphaloom import pipeline, preparation
from alphaloom.data.store import Store
from alphaloom.data.universe.build import build_universe
from alphaloom.errors import MissingFieldError
from alphaloom.losses.base import RETURN
from alphaloom.recipe import Recipe
from alphaloom.training.rolling import unfinished

GRU = {"name": "gru", "steps": 2, "hidden": 4, "optimisation": {"epochs": 2, "patience": 2, "select_on": "icir"}}
BASE = {
    "name": "losses",
    "features": [{"name": "expressions", "define": {"month": "close / delay(close, 20) - 1", "day": "returns"}}],
    "transforms": ["zscore", "fill"],
    "universe": ["not_suspended"],
    "label": "forward_return",
    "label_transforms": ["rank_gauss"],
    "models": [GRU | {"loss": "liquidity_pearson"}, GRU | {"loss": "neutral_mse"}],
    "windows": {"train_months": 9, "test_months": 9, "last_test": "2017-06"},
    "evaluation": {"resamples": 100, "min_names": 10},
}


def experiment(recipe, store):
    """Return the experiment that a recipe comes to, and the panel that it stands on."""
    market, _ = build_universe(recipe.universe, preparation.load_market(recipe, store))
    prepared = preparation.prepare(recipe, market, threads=1)
    return preparation.make_experiment(recipe, prepared, store.fingerprint()), prepared


def test_the_experiment_carries_what_the_fits_read(market):
    """The raw return is the label before its transforms; panel fields come from the market, on the same axes."""
    found, prepared = experiment(Recipe.parse(BASE), Store(market))
    assert set(found.inputs.extras) == {RETURN, "amount", "industry", "log_cap"}
    assert_array_equal(found.inputs.extras[RETURN], prepared.label)
    assert not np.array_equal(found.inputs.label, prepared.label, equal_nan=True)
    assert_array_equal(found.inputs.extras["amount"], prepared.market["amount"])


def test_simple_losses_carry_nothing(market):
    """Without such a loss no field is loaded and no array kept."""
    found, prepared = experiment(Recipe.parse(BASE | {"models": ["ridge", GRU]}), Store(market))
    assert not found.inputs.extras
    assert "industry" not in prepared.market.names


def test_absent_fields_are_named_before_training(market):
    """A field that the store lacks is refused while the market is loaded, with who needs it."""
    loss = {"name": "neutral_mse", "regressors": ["frame:SECTOR_BETA"]}
    with pytest.raises(MissingFieldError, match="SECTOR_BETA") as caught:
        preparation.load_market(Recipe.parse(BASE | {"models": [GRU | {"loss": loss}]}), Store(market))
    assert "the losses" in str(caught.value)


@pytest.mark.slow
def test_a_run_trains_on_them_and_keeps_its_fits(market, tmp_path):
    """A run fits both losses, records the stopping measure, and finds its fits again; another loss is another fit."""
    store, out = Store(market), tmp_path / "out"
    pipeline.run(Recipe.parse(BASE), store, out, threads=1)
    files = sorted(out.rglob("task.json"))
    records = [json.loads(file.read_text()) for file in files]
    assert {record["model"] for record in records} == {"gru", "gru-2"}
    assert all(np.isfinite(point["valid_icir"]) for record in records for point in record["history"])
    assert pipeline.run(Recipe.parse(BASE), store, out, threads=1).reused == len(files)
    other = BASE | {"models": [GRU | {"loss": {"name": "liquidity_pearson", "alpha": 20}}, BASE["models"][1]]}
    found, prepared = experiment(Recipe.parse(other), store)
    windows = Recipe.parse(other).windows.windows(prepared.market.dates, prepared.rows, prepared.ends)
    assert unfinished(found, windows, out / "models") == (len(files) // 2, len(files))

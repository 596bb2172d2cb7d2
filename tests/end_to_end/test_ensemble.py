"""A run of several models over several windows, and the same scores by `predict`."""

import numpy as np
import polars as pl
import pytest

from alphaloom import pipeline
from alphaloom.data.store import Store
from alphaloom.recipe import Recipe
from alphaloom.serving import predict

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("end_to_end")]

RECIPE = {
    "name": "ensemble",
    "features": ["alpha158"],
    "transforms": ["zscore", "robust_zscore", "fill"],
    "universe": ["not_suspended"],
    "label": "forward_return",
    "label_transforms": ["rank_gauss"],
    "models": [
        "ridge",
        {"name": "lightgbm", "objective": "ic", "n_estimators": 10, "min_data_in_leaf": 20},
        {"name": "linear", "steps": 3, "optimisation": {"epochs": 2}},
    ],
    "repeats": 2,
    "windows": {"train_months": 9, "test_months": 3, "valid_share": 0.25},
    "evaluation": {"resamples": 100, "min_names": 10},
}


@pytest.mark.parametrize(
    "ensemble",
    [{"windows": 2, "weights": "icir"}, {"windows": 3, "method": "zscore_mean"}, {"method": "median"}],
)
def test_predict_equals_the_run(market, tmp_path, ensemble):
    """Any date of the run, the first windows' among them, is scored by `predict` as the run scored it."""
    recipe, store = Recipe.parse(RECIPE | {"ensemble": ensemble}), Store(market)
    out = pipeline.run(recipe, store, tmp_path / "run", threads=1).folder
    scores = pl.read_parquet(out / "scores.parquet")
    days = scores["date"].unique().sort()
    assert scores["window"].n_unique() > 2
    for day in (days[0], days[len(days) // 2], days[-1]):
        own = scores.filter(pl.col("date") == day).sort("symbol")
        new = predict(out, store, str(day))[0].sort("symbol")
        assert new["symbol"].to_list() == own["symbol"].to_list()
        assert new["window"].to_list() == own["window"].to_list()
        for column in ("score", "score_ridge", "score_lightgbm", "score_linear"):
            np.testing.assert_allclose(new[column].to_numpy(), own[column].to_numpy(), atol=1e-6)

"""The main path on markets whose truth is known: a planted alpha is found, and none where there is none."""

import numpy as np
import polars as pl
import pytest

from alphaloom.data.simulate import SimulatedMarket, Truth, simulate
from alphaloom.evaluation.inference import mean_test
from alphaloom.pipeline import run
from alphaloom.recipe import Recipe

pytestmark = [pytest.mark.slow]

RECIPE = {
    "name": "truth",
    "universe": [{"name": "listed", "days": 60}, "not_suspended", "not_locked"],
    "features": ["alpha158"],
    "transforms": ["mad_clip", {"name": "zscore", "clip": 5}, "fill"],
    "label": {"name": "forward_return", "horizon": 5, "price": "open"},
    "label_transforms": ["rank_gauss"],
    "windows": {"train_months": 24, "test_months": 12, "valid_share": 0.15},
    "models": [{"name": "ridge", "penalty": 1}, {"name": "lightgbm", "select_on": "rank_ic"}],
    "evaluation": {"resamples": 100},
}


def scores_and_truth(alpha: str, seed: int, folder) -> pl.DataFrame:
    """Return the scores of a run on one market beside the true expected return of the next five days."""
    market = SimulatedMarket(stocks=250, years=3, seed=seed, alpha=alpha, alpha_ic=0.1)
    store = simulate(market, folder / f"store-{alpha}-{seed}")
    # Without alpha, weekly decisions with returns that do not overlap: the plain t is then exact.
    schedule = "weekly" if alpha == "none" else "every 3"
    done = run(Recipe.parse({**RECIPE, "schedule": schedule}), store, folder / f"run-{alpha}-{seed}", threads=1)
    scores = pl.read_parquet(done.folder / "scores.parquet").drop_nulls("label")
    return scores.join(Truth.of(store.path).alpha().collect(), on=["date", "symbol"], how="left")


def daily_rank_ic(frame: pl.DataFrame, column: str) -> np.ndarray:
    """Return Spearman's correlation of a column with the label, one a date."""
    ranks = frame.with_columns(
        pl.col(column).rank().over("date").alias("a"), pl.col("label").rank().over("date").alias("b")
    )
    return ranks.group_by("date", maintain_order=True).agg(pl.corr("a", "b"))["a"].to_numpy()


def test_a_linear_alpha_is_found_up_to_its_ceiling(tmp_path):
    """Out of sample, ridge and trees find the linear alpha, within three standard errors of the truth's own RankIC."""
    frame = scores_and_truth("linear", 3, tmp_path)
    ceiling = daily_rank_ic(frame, "alpha_5")
    for column in ("score_ridge", "score_lightgbm"):
        found = mean_test(daily_rank_ic(frame, column), steps=2)
        assert found.t_newey_west > 5
        assert abs(found.mean - np.nanmean(ceiling)) < 3 * found.se


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_is_found_where_nothing_is(seed, tmp_path):
    """In a market without alpha, RankIC is that of noise."""
    frame = scores_and_truth("none", seed, tmp_path)
    assert abs(mean_test(daily_rank_ic(frame, "score")).t_non_overlapping) < 3

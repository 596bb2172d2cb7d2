"""Runs on splits that train on the future: every number is marked, and paths come from the stored fits."""

import numpy as np
import polars as pl
import pytest

from alphaloom import pipeline
from alphaloom.data.store import Store
from alphaloom.errors import SettingError
from alphaloom.recipe import Recipe

BASE = {
    "name": "folds",
    "features": [{"name": "alpha158"}],
    "transforms": ["zscore", "fill"],
    "universe": ["not_suspended"],
    "label": "forward_return",
    "models": ["ridge"],
    "repeats": 2,
    "windows": {"name": "combinatorial", "folds": 4, "tested": 2, "embargo": 5, "valid_share": 0},
    "evaluation": {"resamples": 100, "min_names": 10},
    "portfolios": [{"name": "topk", "k": 5}],
}


@pytest.fixture(scope="module")
def run(market, tmp_path_factory):
    """Return the folder and metrics of a combinatorial run."""
    out = tmp_path_factory.mktemp("folds") / "run"
    return out, pipeline.run(Recipe.parse(BASE), Store(market), out, threads=1).metrics


def test_every_number_is_marked(run, alphaloom):
    """Verdict, findings, page and the list of runs say that the split trains on the future."""
    out, metrics = run
    assert metrics["trains_on_future"] is True
    assert metrics["verdict"]["grade"] == "leaked"
    page = (out / "report.html").read_text()
    for words in (
        "Leaked: fitted on later dates",
        "RankIC (leaked)",
        "Backtest paths (leaked)",
        "Portfolio a year (leaked)",
    ):
        assert words in page
    assert page.count("Leaked: ") >= 4
    assert "Leaked: fitted on later dates" in alphaloom("show", out).stdout
    assert "Leaked" in alphaloom("runs", out.parent, "--json").stdout


def test_the_audit_names_the_split(run, market, alphaloom):
    """A split that trains on the future is a leak, said once and by its name."""
    done = alphaloom("audit", run[0], market)
    assert done.returncode == 1
    assert "the split combinatorial fits models on dates after those that they are judged on" in done.stdout


def test_paths_are_made_of_the_windows_scores(run):
    """Three paths of six windows; the score of a date is the mean of the windows that test it, as the paths have
    them.
    """
    out, metrics = run
    paths = pl.DataFrame(metrics["paths"])
    assert paths["path"].to_list() == [1, 2, 3]
    assert len(metrics["windows"]) == 6 * 2
    assert np.isfinite(paths["rank_ic"].to_numpy()).all()
    assert paths["rank_ic"].n_unique() == 3
    day = pl.read_parquet(out / "scores.parquet").filter(pl.col("date") == pl.col("date").median())
    found = [
        pl.read_parquet(file).join(day.select("date", "symbol"), on=["date", "symbol"])
        for file in sorted((out / "models").glob("*/*/scores.parquet"))
    ]
    mean = pl.concat(found).group_by("symbol").agg(pl.col("score").mean(), pl.len())
    assert set(mean["len"].to_list()) == {3 * 2}
    both = day.join(mean, on="symbol", suffix="_mean")
    np.testing.assert_allclose(both["score"].to_numpy(), both["score_mean"].to_numpy(), rtol=1e-5, atol=1e-7)


def test_windows_before_are_no_ensemble():
    """Fits of other windows saw the dates that they would score: refused with the reason."""
    with pytest.raises(SettingError, match="ensemble.windows must be 1 with the split 'combinatorial'"):
        Recipe.parse(BASE | {"ensemble": {"windows": 2}})
    assert Recipe.parse(BASE | {"windows": {"train_months": 9}}).windows.name == "calendar"

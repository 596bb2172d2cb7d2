"""Every shipped recipe runs at small scale on the simulated market and ends with a report."""

import json

import polars as pl
import pytest

from alphaloom.recipe import read_recipe, shipped_recipes

SYSTEMS = sorted(set(shipped_recipes()) - {"demo", "quickstart"})


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_shipped_recipe_runs(name, market, alphaloom, tmp_path):
    """The command ends with scores of every model on every test date, weights, metrics and a page; the audit passes."""
    out = tmp_path / "run"
    words = ("--scale", "small", "--set", "evaluation.min_names=10", "--set", "evaluation.resamples=100")
    done = alphaloom("run", name, market, "--out", out, "--threads", 1, *words)
    assert done.returncode == 0, done.stderr
    recipe = read_recipe(name, scale="small")
    scores = pl.read_parquet(out / "scores.parquet")
    several = len(recipe.models) > 1
    assert {f"score_{model}" for model in recipe.model_names() if several} <= set(scores.columns)
    assert scores["score"].is_finite().all()
    assert scores["window"].n_unique() >= 2
    weights = pl.read_parquet(out / "weights.parquet")
    assert set(weights["portfolio"]) == set(recipe.portfolio_names())
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics
    assert 100_000 < (out / "report.html").stat().st_size < 2_000_000
    audited = alphaloom("audit", out, market, "--cuts", 2)
    assert audited.returncode == 0, audited.stdout
    assert "planted leaks were caught" in audited.stdout

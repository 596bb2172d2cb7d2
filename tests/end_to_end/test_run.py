"""One recipe from market data to a report, by the command line."""

import json

import numpy as np
import polars as pl
import pytest
import yaml

from alphaloom.recipe import Recipe
from alphaloom.report.runs import RunFolder
from alphaloom.serving import money

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("end_to_end")]


def test_a_run_holds_what_it_promises(finished_run):
    """A run folder holds the promised files, and the scores their promised columns."""
    names = {entry.name for entry in finished_run.iterdir()}
    assert {"recipe.yaml", "scores.parquet", "weights.parquet", "metrics.json", "report.html", "models"} <= names
    assert "log.jsonl" in names
    assert not [name for name in names if name.startswith(".")]
    scores = pl.read_parquet(finished_run / "scores.parquet")
    assert scores.columns == ["date", "symbol", "score", "label", "window", "score_ridge", "score_gru"]
    assert scores.select("date", "symbol").is_duplicated().sum() == 0
    assert scores["score"].null_count() == 0
    weights = pl.read_parquet(finished_run / "weights.parquet")
    sums = weights.group_by("portfolio", "date").agg(pl.col("weight").sum())["weight"]
    assert sums.min() > 0.99
    assert sums.max() < 1 + 1e-5


def test_metrics_agree_with_the_scores(finished_run):
    """RankIC in metrics.json is that of scores.parquet against its labels, by an independent computation."""
    from scipy.stats import spearmanr

    metrics = json.loads((finished_run / "metrics.json").read_text())
    scores = pl.read_parquet(finished_run / "scores.parquet").drop_nulls("label")
    daily = [spearmanr(day["score"], day["label"])[0] for day in scores.partition_by("date") if day.height >= 10]
    window = [row["out_of_sample_rank_ic"] for row in metrics["windows"] if row["model"] == "gru"]
    gru = [
        np.mean([spearmanr(day["score_gru"], day["label"])[0] for day in part.partition_by("date")])
        for part in scores.partition_by("window", maintain_order=True)
    ]
    np.testing.assert_allclose(window, gru, atol=1e-6)
    assert len(daily) > 20
    assert metrics["provenance"]["seed"] == 7


def test_running_again_redoes_nothing(finished_run, market, recipe_file, alphaloom):
    """The same command on a finished run reuses every fit and gives the same scores."""
    before = (finished_run / "scores.parquet").read_bytes()
    stamps = {p: p.stat().st_mtime_ns for p in finished_run.rglob("task.json")}
    done = alphaloom("run", recipe_file, market, "--out", finished_run, "--threads", 1, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["provenance"]["tasks_reused"] == len(stamps)
    assert {p: p.stat().st_mtime_ns for p in finished_run.rglob("task.json")} == stamps
    assert (finished_run / "scores.parquet").read_bytes() == before


def test_another_recipe_is_kept_out(finished_run, market, recipe_file, alphaloom):
    """A run folder is not overwritten by another experiment."""
    done = alphaloom("run", recipe_file, market, "--out", finished_run, "--set", "seed=8")
    assert done.returncode == 2
    assert "holds a run of another recipe" in done.stderr
    assert "Traceback" not in done.stderr


def test_predict_gives_the_runs_own_scores(finished_run, market, alphaloom, tmp_path):
    """A date inside the run is scored as the run scored it; weights are a portfolio; CSV works as well."""
    scores = pl.read_parquet(finished_run / "scores.parquet")
    day = scores["date"].unique().sort()[-3]
    out = tmp_path / "day.csv"
    done = alphaloom("predict", finished_run, market, "--date", day, "--out", out)
    assert done.returncode == 0, done.stderr
    own = scores.filter(pl.col("date") == day).sort("symbol")
    new = pl.read_csv(out, try_parse_dates=True).sort("symbol")
    assert new["symbol"].to_list() == own["symbol"].to_list()
    for column in ("score", "score_ridge", "score_gru"):
        np.testing.assert_allclose(new[column].to_numpy(), own[column].to_numpy(), atol=1e-6)
    weights = pl.read_csv(tmp_path / "day-weights.csv")
    assert weights["weight"].sum() == pytest.approx(1, abs=1e-6)
    stored = pl.read_parquet(finished_run / "weights.parquet")
    stored = stored.filter((pl.col("date") == day) & (pl.col("portfolio") == "linear_programme")).sort("symbol")
    made = weights.filter(pl.col("weight") > 0).sort("symbol")
    assert made["symbol"].to_list() == stored["symbol"].to_list()
    np.testing.assert_allclose(made["weight"].to_numpy(), stored["weight"].to_numpy(), atol=1e-5)


def test_predict_refuses_dates_the_models_learned_from(finished_run, market, alphaloom, tmp_path):
    """A date before the first test window is refused, and a day without trading too; nothing is written."""
    for day, message in (("2016-02-03", "before the first test window"), ("2017-11-04", "is not a trading day")):
        done = alphaloom("predict", finished_run, market, "--date", day, "--out", tmp_path / "x.parquet")
        assert done.returncode == 2
        assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_scores_and_weights_from_anywhere(finished_run, market, alphaloom, tmp_path):
    """evaluate, optimise and backtest take files, and their figures are those of the run."""
    words = ("--out", tmp_path / "e", "--price", "vwap", "--styles", "size,beta")
    done = alphaloom("evaluate", finished_run / "scores.parquet", market, *words)
    assert done.returncode == 0, done.stderr
    signal = json.loads((tmp_path / "e" / "metrics.json").read_text())["signal"]
    assert {row["style"] for row in signal["exposures"]} == {"size", "beta"}
    assert signal["weighted"]
    assert {p.name for p in (tmp_path / "e").iterdir()} == {
        "metrics.json",
        "ic.parquet",
        "quantiles.parquet",
        "left_out.parquet",
        "report.html",
    }
    words = ["optimise", finished_run / "scores.parquet", market, "--out", tmp_path / "w.parquet"]
    done = alphaloom(*words, "--set", "portfolio={name: topk, k: 10}", "--set", "universe=[not_suspended]")
    assert done.returncode == 0, done.stderr
    names = pl.read_parquet(tmp_path / "w.parquet").group_by("date").len()["len"]
    assert names.median() == 10  # a suspended holding may stay beside the ten
    done = alphaloom("backtest", tmp_path / "w.parquet", market, "--out", tmp_path / "b", "--benchmark", "SH000300")
    assert done.returncode == 0, done.stderr
    written = {p.name for p in (tmp_path / "b").iterdir()}
    assert written == {"metrics.json", "nav.parquet", "orders.parquet", "fills.parquet", "report.html"}
    assert "unfilled, and why" in done.stdout


def test_the_audit_passes_and_sees_a_planted_leak(finished_run, market, alphaloom):
    """`alphaloom audit` finds nothing in the recipe and catches its own planted leak, naming column and date."""
    done = alphaloom("audit", finished_run, market, "--cuts", 2, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"]
    assert report["planted"][0]["column"] == "tomorrow"
    assert report["planted"][0]["date"]


def test_lists_and_summaries(finished_run, market, alphaloom, tmp_path):
    """runs, show, models, schema, features list and data info print what they say."""
    for words, expected in (
        (["runs", finished_run.parent], "tiny"),
        (["show", finished_run], "RankIC"),
        (["models", "model"], "lightgbm"),
        (["features", "list"], "alpha158"),
        (["data", "info", market], "bars"),
        (["data", "check", market], ""),
        (["run", "demo", market, "--print-config"], "train_months: 24"),
        (["--version"], "alphaloom"),
    ):
        done = alphaloom(*words)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
    out = tmp_path / "f.parquet"
    done = alphaloom("features", "compute", "alpha158", market, "--out", out, "--from", "2017-06-01", "--json")
    assert done.returncode == 0, done.stderr
    assert pl.read_parquet(out).width == 160


def test_orders_of_a_date_are_for_the_money_there_is(finished_run):
    """The portfolio's value at that close; the capital before its first day, the last value after its end."""
    folder = RunFolder.existing(finished_run)
    recipe = Recipe.parse(yaml.safe_load(folder.read_text("recipe.yaml")))
    nav = pl.read_parquet(finished_run / "nav-linear_programme.parquet")
    day, value = nav.select("date", "nav").row(40)
    assert money(folder, recipe, str(day)) == value != recipe.backtest.capital
    assert money(folder, recipe, "1999-01-01") == recipe.backtest.capital
    assert money(folder, recipe, "2090-01-01") == nav["nav"][-1]

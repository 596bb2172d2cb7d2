"""The shipped study of tuned trees on the real panel, cut to one test window and a few candidates."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from alphaloom.data.import_ import import_data
from alphaloom.data.store import Store
from alphaloom.study.run import run_study
from alphaloom.study.settings import read_study

HOME = Path(os.environ.get("ALPHALOOM_MARKET_DATA", Path(__file__).parents[3] / "shared" / "data"))

pytestmark = [
    pytest.mark.market,
    pytest.mark.slow,
    pytest.mark.skipif(not HOME.is_dir(), reason=f"no {HOME}; set ALPHALOOM_MARKET_DATA"),
]
CUTS = [
    "set.data.start=2020-01-01",
    "set.windows.first_test=2022-01",
    "set.windows.last_test=2022-01",
    "set.risk={}",
    "set.portfolios=[]",
    "executor.workers=2",
]
TUNING = {"trials": 3, "folds": 4, "scan": {"points": 3, "rounds": 1}}


def test_tuned_trees_on_the_real_panel(tmp_path):
    """Every search ends before its window's test dates, never below the recipe's own settings on its folds."""
    import_data(HOME, tmp_path / "store")
    settings, recipe = read_study("boosting-tuning", CUTS)
    axes = dict(settings.axes) | {"tuning": {"defaults": {}, "tuned": {"tuning": TUNING}}}
    settings = settings.model_copy(update={"axes": axes})
    report = run_study(settings, recipe, Store(tmp_path / "store"), tmp_path / "study", threads=1)
    assert [point.failure for point in report.points] == [None] * 4
    records = [json.loads(f.read_text()) for f in (tmp_path / "study").glob("points/*/models/*/*-tuning/tuning.json")]
    assert len(records) == 4
    for record in records:
        assert record["reads_until"] < record["test_start"]
        assert record["best"]["mean"] >= record["candidates"][0]["mean"]
        assert {item["setting"] for item in record["scan"]} >= {"learning_rate", "max_depth"}
    table = pl.read_parquet(tmp_path / "study" / "study.parquet")
    assert table["rank_ic"].is_between(-0.1, 0.2).all()  # a value above would be a leak before it would be skill

"""Runs whose settings are searched for: workers, interruptions, the audit, and peeks that it must see."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from alphaloom.audit.run import audit_recipe
from alphaloom.data.store import Store
from alphaloom.pipeline import run
from alphaloom.recipe import Recipe
from alphaloom.training.tuning import search as search_module

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("end_to_end")]

TUNED = {
    "name": "tuned",
    "features": [{"name": "factors", "groups": ["momentum", "reversal"]}],
    "transforms": ["zscore", {"name": "fill", "by": "constant", "value": 0}],
    "label": {"name": "weekly_return", "price": "open"},
    "label_transforms": ["zscore"],
    "windows": {"train_months": 12, "test_months": 6, "valid_share": 0.25},
    "models": [
        {"name": "lightgbm", "n_estimators": 8, "min_data_in_leaf": 50, "num_leaves": 8},
        {"name": "ridge"},
    ],
    "tuning": {
        "trials": 4,
        "folds": 4,
        "valid_share": 0.25,
        "scan": {"points": 3, "rounds": 1},
        "spaces": {
            "lightgbm": {"learning_rate": {"low": 0.01, "high": 0.3, "log": True}, "num_leaves": [3, 8, 20]},
            "ridge": {"penalty": {"low": 1e-2, "high": 1e5, "log": True}},
        },
    },
    "horizons": {"periods": [1]},
}


@pytest.fixture(scope="module")
def tuned_run(market, tmp_path_factory):
    """Return the folder of a finished run."""
    out = tmp_path_factory.mktemp("tuned") / "run"
    run(Recipe.parse(TUNED), Store(market), out, threads=1)
    return out


def searches(out):
    """Return the records of all searches, without what depends on the clock."""
    found = {}
    for file in sorted((out / "models").glob("*/*-tuning/tuning.json")):
        record = json.loads(file.read_text())
        found[file.parent.name, file.parent.parent.name] = [
            [item["origin"], item["settings"], item["values"]] for item in record["candidates"]
        ]
    return found


def test_workers_find_the_same(tuned_run, market, tmp_path):
    """Two processes on mapped inputs: the same candidates, settings and scores, bit for bit; no inputs stay behind."""
    recipe = Recipe.parse(TUNED | {"executor": {"name": "local", "workers": 2}})
    run(recipe, Store(market), tmp_path / "run", threads=1)
    assert searches(tmp_path / "run") == searches(tuned_run)
    assert len(searches(tuned_run)) >= 4
    mine, theirs = (pl.read_parquet(out / "scores.parquet") for out in (tmp_path / "run", tuned_run))
    assert_frame_equal(mine, theirs, check_exact=True)
    for name in ("inputs", "shared"):
        assert not (tmp_path / "run" / "models" / name).exists()
        assert not (tuned_run / "models" / name).exists()


def test_the_audit_looks_into_searches(tuned_run, market):
    """An honest one passes; the planted one is caught."""
    audit = audit_recipe(tuned_run, Store(market), cuts=2)
    assert audit.passed, audit.verdict()
    table = audit.table()
    searched = table.filter(pl.col("kind") == "search")
    assert searched.filter(pl.col("name").str.starts_with("best")).height == 4
    assert "a search scored on test dates" in set(table.filter(pl.col("kind") == "planted leak")["name"])


def test_a_search_that_saw_test_dates_is_seen(market, tmp_path, monkeypatch):
    """Its last fold is scored on the window's test dates: the record says so, and its values cannot be made again."""
    honest = search_module.folds_of

    def peeking(search, inputs):
        folds = honest(search, inputs)
        return [*folds[:-1], replace(folds[-1], test=search.fit.window.test)]

    monkeypatch.setattr(search_module, "folds_of", peeking)
    run(Recipe.parse(TUNED), Store(market), tmp_path / "run", threads=1)
    monkeypatch.undo()
    audit = audit_recipe(tmp_path / "run", Store(market), cuts=2)
    leaks = [str(leak) for leak in audit.report.leaks]
    assert any("candidates read until" in leak for leak in leaks)
    assert any(leak.startswith("search 'lightgbm of") for leak in leaks)
    for file in (tmp_path / "run" / "models").glob("*/*-tuning/tuning.json"):  # a record that hides it
        record = json.loads(file.read_text())
        for item in record["candidates"]:
            item["reads_until"] = "1990-01-01"
        file.write_text(json.dumps(record))
    audit = audit_recipe(tmp_path / "run", Store(market), cuts=2)
    assert any(finding.kind == "search" for finding in audit.report.findings)
    assert np.isfinite([finding.before for finding in audit.report.findings]).all()

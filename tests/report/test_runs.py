"""The list of runs."""

import json

import pytest

from alphaloom.report.runs import RunFolder, list_runs
from alphaloom.report.write import study_metrics


def test_runs_are_listed_with_their_headline_figures(study, tmp_path):
    """Each run has a row: a finished one with verdict, traded signal and figures, an interrupted one without."""
    done = RunFolder.open(tmp_path / "a", "name: first", "r1", "d1")
    metrics = study_metrics(study)
    (done.path / "metrics.json").write_text(json.dumps(metrics))
    done.finish()
    RunFolder.open(tmp_path / "b", "name: second", "r2", "d1")
    first, second = list_runs(tmp_path).to_dicts()
    assert (first["recipe"], first["status"], first["signal"]) == ("first", "done", study.headline)
    assert first["rank_ic"] == pytest.approx(study.signal.headline.rank_ic.mean)
    assert first["excess_annual_return"] is not None
    assert (second["recipe"], second["status"], second["rank_ic"]) == ("second", "running", None)
